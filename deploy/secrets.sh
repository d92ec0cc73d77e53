#!/bin/sh
# Makes passwords for the live store, once. deploy/secrets/ then holds what Redis may know of them
# (digests, and what each user may do), the URL of the services, and the password of `admin`, which
# is for people. Nothing of it is in git.
set -eu
cd "$(dirname "$0")"
if [ -e secrets ]; then
    echo "deploy/secrets is there already; remove it for new passwords, and restart everything" >&2
    exit 2
fi
random() { head -c 32 /dev/urandom | sha256sum | cut -c 1-64; }
digest() { printf %s "$1" | sha256sum | cut -c 1-64; }
service=$(random)
admin=$(random)
umask 077
mkdir secrets
# The store's keys are slidr:*, or '' where a click has no such entity; what it does is in its script.
cat > secrets/redis_users <<END
user default off
user health on nopass -@all +ping
user admin on #$(digest "$admin") ~* &* +@all
user replay on #$(digest "$service") resetchannels ~slidr:* ~ -@all +@connection +evalsha +script|load +info +time +hmget +hset +get +set +pexpire +zadd +zcount +zremrangebyscore
END
printf 'redis://replay:%s@redis:6379/0\n' "$service" > secrets/redis_url
printf '%s\n' "$admin" > secrets/redis_admin
chmod 444 secrets/redis_users secrets/redis_url  # read by other users, in containers; the folder is closed
