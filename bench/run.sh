#!/usr/bin/env bash
# Measures the server against the ceiling (bench/ceiling), on this machine, in one run. Files: bench/data-plane.sh.
#
#   bench/run.sh [--quick] [--write] [--only server|transit|lists|keys]...
#
# --quick   short rounds and small files: shows that it works, measures nothing
# --only    one part: transit is each of its calls beside the ceiling's and keys with many versions, lists is a folder of
#           a million secrets, keys is rotation and unseal with a million records and tokens, and what readers notice
# --write   puts what was measured into its sections of docs/performance.md
#
# BENCH_DIR     where stores lie (default: a temporary folder under the target folder; a real disk, not tmpfs)
# BENCH_SECRETS  how many secrets are listed (default 1000000)
# BENCH_RECORDS, BENCH_TOKENS  how much the larger server of keys holds (default 1000000 each)
set -euo pipefail
cd "$(dirname "$0")/.."

need() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" -eq 0 ]; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
    else
        echo "bench: $1 is missing: apt-get install $2" >&2
        exit 2
    fi
}
need wrk wrk
need python3 python3

cargo build --profile dist --locked -p keyfold-cli -p keyfold-ceiling
cargo build --profile dist --locked -p keyfold-backends --example token_memory -p keyfold-core --example acl_check
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=bench exec python3 -m measure "$@"
