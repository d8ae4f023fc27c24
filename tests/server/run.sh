#!/usr/bin/env bash
# Black-box checks of `thalweg serve`: who may do what, and what readers, subscribers and strangers can make it do.
# THALWEG names the binary; arguments name checks, otherwise all of them run.
# Lengths: KILLS, LEDGER_SECONDS, GARBAGE_SECONDS, IDLE_CONNECTIONS, SLOWLORIS_PEERS, SUBSCRIBE_SECONDS.
set -u
cd "$(dirname "$0")/../.."
venv=.cache/server-venv
if ! cmp -s tests/server/requirements.txt "$venv/.ready"; then
  "${PYTHON:-python3}" -m venv "$venv" &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/server/requirements.txt &&
    cp tests/server/requirements.txt "$venv/.ready" || exit 1
fi
checks=("$@")
[ ${#checks[@]} -gt 0 ] || checks=(alert auth bucket cursor demo folder grant kill ledger quality query recovery redis storm store subscribe table)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
broken=0
for check in "${checks[@]}"; do
  echo "-- $check"
  "$venv/bin/python" "tests/server/${check}_check.py" 2>&1 | tee -a "$log"
  [ "${PIPESTATUS[0]}" -eq 0 ] || broken=$((broken + 1))
done
sum() {
  grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log" | sed -E "s/.*(^| )([0-9]+) $1.*/\2/" |
    awk '{ total += $1 } END { print total + 0 }'
}
passed=$(sum passed)
failed=$(sum failed)
# A check that could not run at all counts as one failure.
[ "$broken" -eq 0 ] || [ "$failed" -gt 0 ] || failed=$broken
# Not in the form of the checks' own lines: whoever adds those up has them already.
echo "server checks together: $passed good, $failed bad"
[ "$broken" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
