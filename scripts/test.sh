#!/usr/bin/env bash
# Everything that has to hold: format, lints, shape, tests, documentation, stock clients, the demo.
# Installs from Debian's packages what is missing, when it runs as root; else says what to install.
set -euo pipefail
cd "$(dirname "$0")/.."

started=$SECONDS
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

step() {
    echo
    echo "=== $1 ($((SECONDS - started)) s)"
}

# need COMMAND PACKAGE: nothing to do when the command works.
missing=()
need() {
    eval "$1" >/dev/null 2>&1 || missing+=("$2")
}
need 'command -v cc' build-essential
need 'command -v cmake' cmake
need 'command -v git' git
need 'python3 -c "import venv, ensurepip"' python3-venv
need 'command -v go' golang-go
need 'command -v npm' npm
need 'command -v java' default-jdk-headless
need 'command -v mvn' maven
need 'command -v softhsm2-util' softhsm2
need 'command -v swtpm' swtpm
need 'ls /usr/lib/postgresql/*/bin/initdb' postgresql
need 'command -v etcd' etcd-server
need 'command -v ip' iproute2
need 'ls /usr/lib/*/faketime/libfaketime.so.1' libfaketime
need 'command -v haproxy' haproxy
need 'command -v strace' strace
need 'command -v pkg-config' pkg-config
need 'pkg-config --exists tss2-esys' libtss2-dev
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ]; then
        echo "test: missing: apt-get install ${missing[*]}" >&2
        exit 2
    fi
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}" >/dev/null
fi
if ! command -v cargo >/dev/null; then
    echo "test: cargo is missing: install Rust 1.95 or newer" >&2
    exit 2
fi

step "format"
cargo fmt --all --check
cargo fmt --manifest-path fuzz/Cargo.toml --check
test -z "$(gofmt -l conformance/go)" || { echo "gofmt: $(gofmt -l conformance/go)" >&2; exit 1; }

step "shape"
scripts/shape.sh

# One profile for all, so that dependencies are built once for tests, stock clients and the demo.
step "build"
cargo build --profile ci --locked --workspace
KEYFOLD_BIN=$(realpath "${CARGO_TARGET_DIR:-target}/ci/keyfold")
export KEYFOLD_BIN

step "lints"
# With what has to be asked for, so that it is read, too.
cargo clippy --profile ci --workspace --all-targets --locked --features keyfold-cli/tpm2 -- -D warnings
# Fuzz targets are a workspace of their own, for fuzz/run.sh; here it is seen that they fit the program.
cargo check --manifest-path fuzz/Cargo.toml --locked --quiet --bins --examples --target-dir "${CARGO_TARGET_DIR:-target}/fuzz"

step "tests"
cargo test --profile ci --locked --workspace --no-fail-fast 2>&1 | tee "$logs/cargo"

step "tests on a TPM in software"
cargo test --profile ci --locked --workspace --features keyfold-backends/tpm2 --test tpm2 2>&1 | tee "$logs/tpm"

step "documentation"
# The documentation is for who reads the source: it may speak of what is private.
RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" cargo doc --profile ci --locked --workspace --no-deps --quiet

step "stock clients"
conformance/run.sh 2>&1 | tee "$logs/conformance"

step "demo on a small file"
head -c 300000 /dev/urandom >"$logs/small file.bin"
scripts/demo.sh "$logs/small file.bin"

step "closing lines"
grep -hE '^test result:|^=+ .*(passed|failed).*=+$|^ok  |^# (pass|fail) |^[0-9]+ passed, ' "$logs/cargo" "$logs/tpm" "$logs/conformance"
echo "all in $(((SECONDS - started) / 60)) min $(((SECONDS - started) % 60)) s"
