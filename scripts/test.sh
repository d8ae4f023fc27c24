#!/usr/bin/env bash
# Everything that CI runs: the workspace's tests, then the checks against DuckDB. Goes on after a failure, so that one
# run shows them all, and closes with the plain count of all tests.
set -u
cd "$(dirname "$0")/.."
# A cargo target folder outside the checkout is used again where there is one.
shared="$HOME/.cache/thalweg-target"
if [ -z "${CARGO_TARGET_DIR:-}" ] && [ -d "$shared" ]; then
  export CARGO_TARGET_DIR="$shared"
fi
export THALWEG="${CARGO_TARGET_DIR:-$PWD/target}/debug/thalweg"
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
broken=0

step() {
  local name=$1
  shift
  printf '== %s\n' "$name"
  "$@" 2>&1 | tee "$log/$name"
  local code=${PIPESTATUS[0]}
  if [ "$code" -ne 0 ]; then
    echo "== $name: exit code $code"
    broken=$((broken + 1))
  fi
}

command -v rustfmt >/dev/null || rustup component add rustfmt
step format cargo fmt --all -- --check
# The binary hands out what is built here.
step pages make --no-print-directory console
# With the tests' own features, so that the binary and the tests share every compiled dependency.
step build cargo build --workspace --all-targets --locked
step rust cargo test --workspace --locked --no-fail-fast
step setup make --no-print-directory .cache/venv/.ready .cache/flights/weather.parquet
step checker .cache/venv/bin/python tests/oracle/compare_test.py
step nexmark .cache/venv/bin/python tests/oracle/nexmark_check.py
step flights .cache/venv/bin/python tests/oracle/flights_check.py
step clients bash tests/clients/run.sh
step server bash tests/server/run.sh
step examples bash tests/examples/run.sh
step console bash tests/console/run.sh

# `test result: ok. 5 passed; 0 failed; …` from cargo and `5 passed, 0 failed` from the checks.
sum() {
  cat "$log"/* | grep -E "^(test result:.*|)[ ]?[0-9]+ passed[;,] [0-9]+ failed" \
    | sed -E "s/.*([^0-9]|^)([0-9]+) $1.*/\2/" | awk '{ total += $1 } END { print total + 0 }'
}
passed=$(sum passed)
failed=$(sum failed)
if [ "$broken" -ne 0 ] && [ "$failed" -eq 0 ]; then
  # A step that could not run at all counts as one failure.
  failed=$broken
fi
echo "$passed passed, $failed failed"
[ "$broken" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
