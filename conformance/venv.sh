#!/usr/bin/env bash
# Makes the virtual environment of the Python tests, once for a set of pins, and keeps it beside the build. Prints where it is.
set -euo pipefail
cd "$(dirname "$0")/.."

pins=$(sha256sum conformance/python/requirements.txt | cut -c1-16)
venv=${CARGO_TARGET_DIR:-target}/conformance-python-$pins
if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r conformance/python/requirements.txt >&2
    touch "$venv/ready"
fi
echo "$venv"
