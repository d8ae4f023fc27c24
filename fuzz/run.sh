#!/usr/bin/env bash
# Builds the fuzz targets with the stable compiler and runs each one.
#
#   fuzz/run.sh [SECONDS] [TARGET...]      60 seconds of every target unless told otherwise
#
# The flags are what `cargo fuzz build --sanitizer none` passes to the compiler: coverage for libFuzzer, debug
# assertions on. The code under test has one unsafe block, whose result the targets check in full, so a sanitizer (and
# with it a nightly compiler) adds little.
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
shift || true
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(json csv avro protobuf envelopes log manifest note batch hub_manifest segment startup messages ingest sql)

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../target/fuzz}
triple=$(rustc -vV | sed -n 's/^host: //p')
coverage="-Cpasses=sancov-module"
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
  coverage+=" -Cllvm-args=-sanitizer-coverage-$flag"
done
others="-Cllvm-args=-simplifycfg-branch-fold-threshold=0 -Cdebug-assertions --cfg fuzzing -Ccodegen-units=1"
export RUSTFLAGS="$coverage $others"
cargo build --release --locked --target "$triple"

for target in "${targets[@]}"; do
  work=$CARGO_TARGET_DIR/$target
  mkdir -p "$work/corpus" "$work/found"
  "$CARGO_TARGET_DIR/$triple/release/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 \
    -artifact_prefix="$work/found/" "$work/corpus" "seeds/$target"
done
