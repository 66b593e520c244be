#!/usr/bin/env bash
# Measures three nodes on one store of PostgreSQL and of etcd: how long a revocation takes until it is acknowledged, what a request
# and an idle node cost; and KV writes on PostgreSQL beside pgbench.
#
#   bench/nodes.sh [--quick] [--write] [--only nodes|writes]
#
# --quick   short rounds: shows that it works, measures nothing
# --write   puts the sections into docs/performance.md
#
# KEYFOLD_BIN   the program (default: it is built with the profile dist)
# TMPDIR        where stores lie (a real disk, not tmpfs)
set -euo pipefail
cd "$(dirname "$0")/.."

# need COMMAND PACKAGE: nothing to do when the command works.
need() {
    eval "$1" >/dev/null 2>&1 && return
    if [ "$(id -u)" -eq 0 ]; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
    else
        echo "bench: missing: apt-get install $2" >&2
        exit 2
    fi
}
need 'command -v wrk' wrk
need 'command -v etcd' etcd-server
# pgbench comes with the server's programs.
need 'ls /usr/lib/postgresql/*/bin/pgbench' postgresql

if [ -z "${KEYFOLD_BIN:-}" ]; then
    cargo build --profile dist --locked -p keyfold-cli
    KEYFOLD_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/dist/keyfold")
fi
export KEYFOLD_BIN
venv=$(conformance/venv.sh)
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=bench:tests:conformance/python exec "$venv/bin/python" -m measure.nodes "$@"
