#!/bin/sh
# Makes a password for the live store, once: deploy/secrets/ holds what Redis may know of it (a
# digest, and what the services may do) and the URL that the services use. Neither is in git.
set -eu
cd "$(dirname "$0")"
if [ -e secrets ]; then
    echo "deploy/secrets is there already; remove it for a new password, and restart everything" >&2
    exit 2
fi
password=$(head -c 32 /dev/urandom | sha256sum | cut -c 1-64)
digest=$(printf %s "$password" | sha256sum | cut -c 1-64)
umask 077
mkdir secrets
# The store's keys are slidr:*, or '' where a click has no such entity; what it does is in its script.
cat > secrets/redis_users <<END
user default off
user health on nopass -@all +ping
user replay on #$digest resetchannels ~slidr:* ~ -@all +@connection +evalsha +script|load +info +time +hmget +hset +get +set +pexpire +zadd +zcount +zremrangebyscore
END
printf 'redis://replay:%s@redis:6379/0\n' "$password" > secrets/redis_url
chmod 444 secrets/redis_users secrets/redis_url  # read by other users, in containers; the folder is closed
