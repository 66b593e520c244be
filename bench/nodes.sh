#!/usr/bin/env bash
# Measures three nodes on one store of PostgreSQL and of etcd: how long a revocation takes until it is acknowledged, and what a request costs.
#
#   bench/nodes.sh [--write]
#
# --write   puts the section into docs/performance.md
#
# KEYFOLD_BIN   the program (default: it is built with the profile dist)
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -z "${KEYFOLD_BIN:-}" ]; then
    cargo build --profile dist --locked -p keyfold-cli
    KEYFOLD_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/dist/keyfold")
fi
export KEYFOLD_BIN
venv=$(conformance/venv.sh)
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=bench:tests:conformance/python exec "$venv/bin/python" -m measure.nodes "$@"
