#!/usr/bin/env bash
# The whole story on a real file: a sealed server, a key per service, a file encrypted, rotated and rewrapped. Then the
# day a key is lost: scripts/incidents.sh.
#
#   scripts/demo.sh [FILE]     FILE is only read; without one a sample is made
#
# Builds the program first, or takes the one that KEYFOLD_BIN names.
set -euo pipefail
repo=$(cd "$(dirname "$0")/.." && pwd)

# In a subshell, so that a relative FILE means what it meant to the caller.
build() (
    cd "$repo"
    command -v cargo >/dev/null || {
        echo "demo: cargo is not there: install Rust (rustup.rs, or Debian's rustup) first" >&2
        exit 1
    }
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    echo "demo: building keyfold; the first time takes some minutes" >&2
    cargo build --release --locked -p keyfold-cli >"$log" 2>&1 || {
        cat "$log" >&2
        exit 1
    }
)

if [ -z "${KEYFOLD_BIN:-}" ]; then
    build
    target=$(cd "$repo" && cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
    KEYFOLD_BIN=$target/release/keyfold
fi
export KEYFOLD_BIN
"$KEYFOLD_BIN" demo "$@"
# Who asked for help has it.
case ${1:-} in -*) ;; *) exec "$repo/scripts/incidents.sh" ;; esac
