#!/usr/bin/env bash
# Each example of examples/ as its README runs it: its SQL file, its data, its dashboard, its alert; and every view beside what plain
# Python makes of the same data. THALWEG names the binary; arguments name examples, otherwise all of them run.
set -u
cd "$(dirname "$0")/../.."
venv=.cache/examples-venv
if ! cmp -s tests/examples/requirements.txt "$venv/.ready"; then
  "${PYTHON:-python3}" -m venv "$venv" &&
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/examples/requirements.txt &&
    cp tests/examples/requirements.txt "$venv/.ready" || exit 1
fi
exec "$venv/bin/python" tests/examples/check.py "$@"
