# Shows the incident in the sample lake, on a copy of it in build/demo; `make demo` runs this in the
# repository's root.
set -eu
unset REPLAY_HOME

say() {
    printf '\n# %s\n' "$@"
}

type_it() {
    printf '$ %s\n\n' "$*"
    "$@"
}

rm -rf build/demo
mkdir -p build
cp -R data/samples/lake build/demo
seen=build/demo/seen.txt

say 'It is the evening of 2 March, 20:00 UTC, at a small (simulated) shop. Since the afternoon some
# advertisers see their budgets drained and others see clicks thrown away. What decides on clicks now?'
type_it .venv/bin/replay status

say 'v2 has decided since 14:00. What would v1, the version before it, have decided since then?
# Replay rebuilds every feature from the raw clicks, and scores them with v1.'
type_it .venv/bin/replay --from 2026-03-02T14:00 --to 2026-03-02T20:00 --model previous >"$seen"
cat "$seen"

say 'So from 14:00 on v2 was wrong in two ways. It let a wave of robots through: they are what becomes
# invalid, and three advertisers paid for nearly all of them. And it threw people away, who become valid.
# The cause is `model`: the counters were right, on the same features v1 decides otherwise. Here is one of
# the clicks, with what each version says of it:'
# shellcheck disable=SC2046  # the words of a command
type_it $(sed -n 's/^  \(\.venv\/bin\/replay explain [^ ]*\).*/\1/p' "$seen" | head -n 1)

say 'None of this has changed production. What to type next, the last to put v1 back in charge:'
cat <<'NEXT'
  .venv/bin/replay runs show latest    # the replay's report again
  .venv/bin/replay models list    # the versions, how they were trained and what stands in production
  .venv/bin/replay sql "SELECT device, decision, count(*) AS clicks FROM decisions JOIN clicks USING (click_id) WHERE clicks.ts >= '2026-03-02T14:00Z' GROUP BY ALL ORDER BY ALL"
  .venv/bin/replay models promote v1 --reason "v2 lets robots through and loses people in the app"
NEXT
