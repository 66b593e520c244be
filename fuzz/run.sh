#!/usr/bin/env bash
# Runs each fuzz target for a while: fuzz/run.sh [--install] [SECONDS [TARGET…]]; 20 seconds, all targets.
# What a run finds is in fuzz/artifacts; what it learned stays in fuzz/corpus for the next one.
set -euo pipefail
cd "$(dirname "$0")"

if [ "${1:-}" = --install ]; then
    shift
    cargo install cargo-fuzz --locked
fi
# The sanitizers need what only a nightly compiler takes, or a stable one that is told to.
if cargo --version >/dev/null 2>&1; then
    export RUSTUP_TOOLCHAIN=nightly
else
    export RUSTC_BOOTSTRAP=1
fi
if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: cargo-fuzz is missing: fuzz/run.sh --install gets it from crates.io" >&2
    exit 2
fi

seconds=${1:-20}
[ $# -eq 0 ] || shift
targets=("$@")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cargo fuzz list --fuzz-dir .)

log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo fuzz build --fuzz-dir .
failed=()
for target in "${targets[@]}"; do
    mkdir -p "corpus/$target"
    # The envelope's header alone is 4 KiB; other inputs need no such length to be interesting.
    case $target in file | header) longest=40000 ;; *) longest=4096 ;; esac
    if cargo fuzz run --fuzz-dir . "$target" "corpus/$target" "seeds/$target" -- \
        -max_total_time="$seconds" -max_len=$longest -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 >"$log" 2>&1; then
        runs=$(awk '/^stat::number_of_executed_units/ { print $2 }' "$log")
        echo "ok    $target: $runs inputs"
    else
        failed+=("$target")
        echo "FAULT $target:"
        grep -aE -A 3 'panicked at|ERROR: |Reproduce with' "$log" | cut -c 1-300 || tail -n 30 "$log"
    fi
done
[ ${#failed[@]} -eq 0 ] || { echo "fuzz: faults in ${failed[*]}" >&2; exit 1; }
