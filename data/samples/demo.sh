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

say 'None of this has changed what anybody pays. Corrections go into a ledger, and from there to sinks; here
# a file. What would publishing this replay do?'
cat >>build/demo/replay.toml <<'TOML'

[sinks.billing]
kind = "ndjson"
path = "corrections.ndjson"
TOML
run_id=$(.venv/bin/replay runs list --json | sed -n 's/.*"run_id": "\(.*\)".*/\1/p' | head -n 1)
type_it .venv/bin/replay verdicts publish "$run_id" || test $? -eq 1

say 'Gates object: so much at once is rarely right. Here it is, and saying so is kept in the ledger. The
# re-bills stay withheld, since nobody asked for them with --rebill.'
type_it .venv/bin/replay verdicts publish "$run_id" \
    --override changed,credit_clicks,credit_money,advertiser \
    --reason 'a robot wave that v2 let through' --by demo --yes

say 'Does the ledger add up, click by click and campaign by campaign?'
type_it .venv/bin/replay verdicts reconcile

say 'And if that was wrong? It can be undone, for a reason too: undoing a credit bills a click again, and
# these clicks are older than the 72 hours in which that is usual.'
type_it .venv/bin/replay verdicts revert "$run_id" --rebill \
    --override rebill_clicks,rebill_money,billing_window \
    --reason 'to show that it can be undone' --by demo --yes
type_it .venv/bin/replay verdicts reconcile

say 'Every verdict stands in the ledger and in the file, the later ones following the earlier. What to type
# next, the last to put v1 back in charge:'
cat <<'NEXT'
  .venv/bin/replay verdicts list    # what was published and undone
  .venv/bin/replay verdicts statement    # each advertiser's clicks and money, before and after
  .venv/bin/replay verdicts status    # the ledger's totals, and how far each sink is
  .venv/bin/replay runs show latest    # the replay's report again
  .venv/bin/replay models list    # the versions, how they were trained and what stands in production
  .venv/bin/replay sql "SELECT device, decision, count(*) AS clicks FROM decisions JOIN clicks USING (click_id) WHERE clicks.ts >= '2026-03-02T14:00Z' GROUP BY ALL ORDER BY ALL"
  .venv/bin/replay models rollback --reason "v2 lets robots through and loses people in the app"
NEXT
