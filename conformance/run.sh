#!/usr/bin/env bash
# Drives the keyfold binary with the stock clients people use: Python's hvac (and hvac's own test suite, where it lies
# beside the project), OpenBao's Go API and its command line, node-vault, vault-java-driver, vaultrs; and replays the
# transcripts of a recorded server, where they lie beside the project.
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

venv=$(conformance/venv.sh)
# All run, whatever the first one says.
failed=0
PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" -m pytest -p no:cacheprovider conformance/python || failed=1
(cd conformance/go && GOFLAGS=-mod=readonly go test -count=1 ./...) || failed=1

stock_node() {
    local folder=$target/conformance-node
    mkdir -p "$folder" && cp conformance/node/* "$folder" &&
        (cd "$folder" && npm ci --silent --no-audit --no-fund && "$serve" node --test)
}
stock_java() {
    local classes=$target/conformance-java-classes
    mvn -q -B -f conformance/java/pom.xml dependency:build-classpath -Dmdep.outputFile="$classes" &&
        "$serve" java -cp "$(cat "$classes")" conformance/java/Conformance.java
}
stock_rust() {
    CARGO_TARGET_DIR=$target/conformance-rust \
        "$serve" cargo test --quiet --locked --manifest-path conformance/rust/Cargo.toml
}
target=$(realpath "$target")
serve=$(realpath conformance/serve.sh)
for client in node java rust; do
    if "stock_$client"; then
        echo "ok  stock client: $client"
    else
        echo "conformance: $client failed" >&2
        failed=1
    fi
done

# What lies beside the project on the machines that build it.
shared=../shared
if [ -d "$shared/golden" ]; then
    "$venv/bin/python" conformance/transcripts/check.py "$shared/tools/replay.py" || failed=1
    conformance/hvac/run.sh "$shared/tools" || failed=1
else
    echo "conformance: skipped, $shared is not there: the transcripts and hvac's own suite"
fi
exit "$failed"
