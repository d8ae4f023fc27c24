# The front door. Every target installs what it lacks.

PYTHON ?= python3
VENV := .cache/venv
VENV_READY := $(VENV)/.ready
CONSOLE := console/dist/index.html
CONSOLE_SOURCES := $(shell find console/src console/index.html console/package-lock.json console/vite.config.ts)
FLIGHTS := .cache/flights
FLIGHTS_READY := $(FLIGHTS)/weather.parquet

.DEFAULT_GOAL := help
.PHONY: help build console demo flights demo-data test test-rust test-oracle soak-kill lint bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

build: console ## the release binary, target/release/thalweg, with the console in it
	cargo build --release --locked -p thalweg

console: ## the web console, console/dist (without npm the binary is built without it)
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory $(CONSOLE); \
	  else echo "npm is not installed: the binary shows its status page instead of the console"; fi

$(CONSOLE): $(CONSOLE_SOURCES)
	cd console && npm ci --no-audit --no-fund && npm run build
	@# What a release binary embeds is looked at when this file is compiled.
	@touch crates/serve/src/http/console.rs

demo: build ## a server with live dashboards, alerts and anomalies: http://localhost:4567 (DEMO=… for its flags)
	./target/release/thalweg demo $(DEMO)

demo-data: $(VENV_READY) ## cut the day of flights that the demo carries out of the year
	$(VENV)/bin/python scripts/demo_flights.py

flights: build $(FLIGHTS_READY) ## replay a year of real flights through windows, joins and a Top-N
	mkdir -p $(FLIGHTS)/out
	./target/release/thalweg run examples/flights/flights.sql -e FLIGHTS=$(FLIGHTS) -e OUT=$(FLIGHTS)/out

test: ## everything that CI runs
	bash scripts/test.sh

lint: ## formatting, clippy, and dependencies if cargo-deny is installed
	@command -v rustfmt >/dev/null && command -v cargo-clippy >/dev/null || rustup component add rustfmt clippy
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	@if command -v cargo-deny >/dev/null; then cargo deny check; else echo "cargo-deny is not installed: skipped"; fi

bench: build $(VENV_READY) ## time every Nexmark query beside DuckDB and write docs/benchmarks.md
	$(VENV)/bin/python scripts/bench.py $(BENCH)

test-oracle: $(VENV_READY) $(FLIGHTS_READY) ## the checks against DuckDB alone
	cargo build --locked -p thalweg
	$(VENV)/bin/python tests/oracle/nexmark_check.py
	$(VENV)/bin/python tests/oracle/flights_check.py

soak-kill: ## kill the server 500 times, at random and at every failpoint, and look for what is lost, twice or torn (KILLS=…, KILL_SEED=…)
	cargo build --workspace --all-targets --locked
	KILLS=$${KILLS:-500} bash tests/server/run.sh kill

$(VENV_READY): tests/oracle/requirements.txt
	@if ! $(PYTHON) -m venv $(VENV); then \
	  echo "installing python3-venv"; apt-get update -qq && apt-get install -y -qq python3-venv && $(PYTHON) -m venv $(VENV); fi
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tests/oracle/requirements.txt
	@touch $@

$(FLIGHTS_READY): $(VENV_READY) scripts/flights.py
	$(VENV)/bin/python scripts/flights.py $(FLIGHTS)
	@touch $@

clean: ## drop generated data and builds
	rm -rf .cache target
