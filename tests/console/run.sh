#!/usr/bin/env bash
# The console in a real browser against a real server: its logic, its size, and what people do with it.
# THALWEG names the binary. Without arguments all but pictures and frames run; otherwise the named ones do:
#   console, dashboards, alerts, access, size; frames (how long they take with twenty live panels); gallery (pictures of every page)
set -u
cd "$(dirname "$0")/../../console"
fail() {
  echo "console: $1"
  exit 1
}
command -v npm >/dev/null || apt-get install -y -qq nodejs npm >/dev/null || fail "npm is not installed"
browser=${CHROMIUM:-/usr/bin/chromium}
if [ ! -x "$browser" ]; then
  echo "installing chromium"
  apt-get update -qq && apt-get install -y -qq chromium >/dev/null || fail "chromium is not installed"
fi
if ! cmp -s package-lock.json node_modules/.ready; then
  npm ci --no-audit --no-fund --silent && cp package-lock.json node_modules/.ready || fail "npm ci failed"
fi
npm run --silent build >/dev/null || fail "it does not build"
tests=("$@")
[ ${#tests[@]} -gt 0 ] || tests=(access alerts console dashboards size)
log=$(mktemp)
trap 'rm -f "$log"' EXIT
export THALWEG_BIN="${THALWEG:-$PWD/../target/debug/thalweg}" CHROMIUM="$browser" NO_COLOR=1
npm run --silent check 2>&1 | tail -5
checked=${PIPESTATUS[0]}
{ npm test --silent && npx vitest run --config e2e/vitest.config.ts "${tests[@]/#/e2e/}"; } 2>&1 | tee "$log"
code=${PIPESTATUS[0]}
sum() {
  grep -E '^ *Tests ' "$log" | grep -oE "[0-9]+ $1" | awk '{ total += $1 } END { print total + 0 }'
}
passed=$(sum passed)
failed=$(($(sum failed) + (checked != 0)))
# Tests that could not run at all count as one failure.
[ "$code" -eq 0 ] || [ "$failed" -gt 0 ] || failed=1
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
