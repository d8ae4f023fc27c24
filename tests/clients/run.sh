#!/usr/bin/env bash
# The checks with real clients: psql, psycopg, SQLAlchemy, pgjdbc, psqlODBC, node `pg`, dbt, what Grafana, Tableau,
# Metabase, Superset and DBeaver send, a Prometheus, and a restart. Installs what it lacks into .cache or by apt; closes
# with the plain count of all checks.
# usage: run.sh [SUITE …], of the suites named below; THALWEG names the binary
set -u
cd "$(dirname "$0")/../.."
export THALWEG="${THALWEG:-$PWD/target/debug/thalweg}"
here=tests/clients
venv=.cache/clients-venv
node=.cache/clients-node
java=.cache/clients-java
superset=.cache/clients-superset
prometheus=.cache/clients-prometheus
jar_version=42.7.4
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

apt() {
  echo "installing $*"
  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@") >"$log/apt.txt" 2>&1 || tail -5 "$log/apt.txt"
}

# What is installed is made anew when the file that names it is newer.
python_ready() {
  [ "$venv/.ready" -nt "$here/requirements.txt" ] && return
  python3 -m venv "$venv" 2>/dev/null || { apt python3-venv && python3 -m venv "$venv"; } || return
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" && touch "$venv/.ready"
}

node_ready() {
  command -v npm >/dev/null || apt nodejs npm
  [ "$node/.ready" -nt "$here/node/package.json" ] && return
  mkdir -p "$node" && cp "$here/node/package.json" "$node/" \
    && (cd "$node" && npm install --silent --no-audit --no-fund) && touch "$node/.ready"
}

java_ready() {
  command -v javac >/dev/null || apt default-jdk-headless
  command -v mvn >/dev/null || apt maven
  local jar="$java/postgresql-$jar_version.jar"
  mkdir -p "$java"
  [ -f "$jar" ] || mvn -q -B dependency:copy -Dartifact="org.postgresql:postgresql:$jar_version" \
    -DoutputDirectory="$PWD/$java" >"$log/mvn.txt" 2>&1 || { cat "$log/mvn.txt"; return 1; }
  [ "$java/Check.class" -nt "$here/java/Check.java" ] || javac -cp "$jar" -d "$java" "$here/java/Check.java"
}

# Superset stands on an older SQLAlchemy than the other checks.
superset_ready() {
  local wanted="$here/superset/requirements.txt"
  [ "$superset/.ready" -nt "$wanted" ] && return
  rm -rf "$superset"
  "$venv/bin/pip" install --quiet --disable-pip-version-check --target "$superset" -r "$wanted" \
    && touch "$superset/.ready"
}

odbc_ready() {
  ls /usr/lib/*/odbc/psqlodbcw.so /usr/lib/*/libodbc.so.2 >/dev/null 2>&1 || apt --no-install-recommends odbc-postgresql libodbc2
}

# Unpacked, not installed, since its package starts a service. Where that cannot be, the suite says what it leaves out.
prometheus_ready() {
  command -v promtool >/dev/null || [ -x "$prometheus/usr/bin/promtool" ] && return
  mkdir -p "$prometheus"
  (cd "$prometheus" && apt-get download -qq prometheus && dpkg -x prometheus_*.deb .) >"$log/apt.txt" 2>&1
}

suite() {
  case $1 in
    jdbc) java_ready && "$venv/bin/python" "$here/run_with_server.py" java -cp "$java/postgresql-$jar_version.jar:$java" \
      Check "jdbc:postgresql://HOST:PORT/dev?user=root" ;;
    node) node_ready && NODE_PATH="$node/node_modules" NODE_NO_WARNINGS=1 "$venv/bin/python" "$here/run_with_server.py" \
      node "$here/node/check.js" URL ;;
    superset) superset_ready && PYTHONPATH=$superset "$venv/bin/python" "$here/superset_check.py" ;;
    odbc) odbc_ready && "$venv/bin/python" "$here/odbc_check.py" ;;
    metrics) prometheus_ready; PATH=$PATH:$PWD/$prometheus/usr/bin "$venv/bin/python" "$here/metrics_check.py" ;;
    *) "$venv/bin/python" "$here/$1_check.py" ;;
  esac
}

if [ ! -x "$THALWEG" ]; then
  echo "$THALWEG does not exist: run \`cargo build -p thalweg\`, or name another in THALWEG"
  exit 1
fi
command -v psql >/dev/null || apt postgresql-client
python_ready || { echo "the Python clients cannot be installed"; exit 1; }
names=("$@")
[ $# -gt 0 ] || names=(psql psycopg sqlalchemy jdbc odbc node dbt catalog grafana viewer metrics bi superset restart)

# What differs from PostgreSQL so far, and why: a check named there may fail, and must not pass without being taken out.
known=$here/known.txt
broken=0
passed=0
failed=0
for name in "${names[@]}"; do
  started=$SECONDS
  # The limit is for a suite that hangs whatever it does itself about that.
  export -f suite java_ready node_ready superset_ready odbc_ready prometheus_ready apt
  export here venv node java superset prometheus jar_version log
  timeout -k 5 400 bash -c "suite $name" >"$log/$name" 2>&1 </dev/null
  code=$?
  last=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$log/$name" | tail -1)
  grep -vE '^[0-9]+ passed, [0-9]+ failed$' "$log/$name"
  printf '%-10s %s (%s s)\n' "$name" "${last:-ended with code $code}" "$((SECONDS - started))"
  if [ -n "$last" ]; then
    passed=$((passed + ${last%% *}))
    last=${last##*, }
    failed=$((failed + ${last%% *}))
  fi
  while read -r check; do
    if grep -qx "FAIL $check" "$log/$name"; then
      failed=$((failed - 1))
      echo "known: $check"
    elif [ -n "$last" ]; then
      failed=$((failed + 1))
      echo "FAIL $check passes now: take it out of $known"
    fi
  done < <(grep -E "^$name: " "$known" | sed 's/ *#.*//')
  if [ -z "$last" ] || { [ "$code" -ne 0 ] && [ "${last%% *}" = 0 ]; }; then
    # A suite that did not end counts as one failure.
    broken=1
    failed=$((failed + 1))
  fi
done
echo "$passed passed, $failed failed"
[ "$broken" -eq 0 ] && [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
