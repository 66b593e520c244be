#!/usr/bin/env bash
# Drives the keyfold binary with the stock clients people use: Python's hvac, then OpenBao's Go API.
# KEYFOLD_BIN names the binary; without it the workspace's release build is taken, else its debug build.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-target}
for built in "$target/release/keyfold" "$target/debug/keyfold"; do
    [ -n "${KEYFOLD_BIN:-}" ] || [ ! -x "$built" ] || KEYFOLD_BIN=$built
done
if [ ! -x "${KEYFOLD_BIN:-}" ]; then
    echo "conformance: no keyfold binary: cargo build --release -p keyfold-cli" >&2
    exit 2
fi
KEYFOLD_BIN=$(realpath "$KEYFOLD_BIN")
export KEYFOLD_BIN

# The virtual environment is made once for a set of pins and kept beside the build.
pins=$(sha256sum conformance/python/requirements.txt | cut -c1-16)
venv=$target/conformance-python-$pins
if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r conformance/python/requirements.txt
    touch "$venv/ready"
fi
# Both run, whatever the first one says.
failed=0
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -p no:cacheprovider conformance/python || failed=1
(cd conformance/go && GOFLAGS=-mod=readonly go test -count=1 ./...) || failed=1
exit "$failed"
