#!/usr/bin/env bash
# Three nodes on one store, on PostgreSQL and on an etcd of three members, while nodes and store are killed, frozen, cut off, slowed
# down and given another time; what clients were told meanwhile is checked (tests/cluster). scripts/test.sh runs a short form of it.
# All of it needs root, iproute2 and libfaketime; what can't be done is left out, and said.
#
#   scripts/torture.sh [SECONDS] [SEED]     for so long on each store (600), by chance of that seed (1)
#
# The table of a run without a fault goes into docs/reliability.md.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${KEYFOLD_BIN:-}" ]; then
    cargo build --profile ci --locked --workspace
    KEYFOLD_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/ci/keyfold")
fi
export KEYFOLD_BIN
venv=$(conformance/venv.sh)
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=tests:conformance/python \
    "$venv/bin/python" -m cluster --seconds "${1:-600}" --seed "${2:-1}" --write postgresql etcd
