#!/usr/bin/env bash
# Checks what no compiler checks: which crate may use which, where unsafe may stand, how long a file may be,
# and that only the wiring knows the backends by name. Prints each fault; exit status 1 when there is one.
set -euo pipefail
cd "$(dirname "$0")/.."

faults=0
fault() {
    echo "shape: $1" >&2
    faults=$((faults + 1))
}

# each COMMAND TEXT: calls COMMAND for each line of TEXT. The texts are made by assignments, so that a check which
# cannot run ends this script instead of finding nothing.
each() {
    local line
    while IFS= read -r line; do
        [ -z "$line" ] || "$1" "$line"
    done <<<"$2"
}

# --- layers: the arrows of docs/architecture.md; a crate may use what stands on its line -------------------------
layers=$(cargo metadata --format-version 1 --no-deps --locked | python3 -c '
import json, sys

ALLOWED = {
    "secret": "",
    "keys": "secret",
    "api": "secret",
    "core": "secret keys api",
    "postgres": "secret",
    "backends": "secret keys api core postgres",
    "server": "secret keys api core backends",
    "envelope": "secret keys",
    "client": "secret keys api envelope",
    "stores": "secret keys envelope postgres",
    "cli": "secret keys api envelope client stores server",
    "ceiling": "",
    "tests": "",
}
# What a layer must stay free of: the hierarchy of clocks and sockets, the core of HTTP, the format of the network.
FOREIGN = {
    "keys": "tokio hyper http reqwest redb",
    "envelope": "tokio hyper http reqwest redb",
    "api": "tokio hyper http reqwest redb",
    "core": "hyper hyper-util http reqwest redb rustls",
}
seen = set()
for package in json.load(sys.stdin)["packages"]:
    name = package["name"].removeprefix("keyfold-")
    seen.add(name)
    if name not in ALLOWED:
        print(f"crate {name} has no line in scripts/shape.sh: say what it may use")
        continue
    for dependency in package["dependencies"]:
        used = dependency["name"]
        if dependency["kind"] == "dev":
            continue
        if used.startswith("keyfold-") and used.removeprefix("keyfold-") not in ALLOWED[name].split():
            print(f"crate {name} may not use {used}")
        if used in FOREIGN.get(name, "").split():
            print(f"crate {name} must stay free of {used}")
for name in ALLOWED.keys() - seen:
    print(f"scripts/shape.sh speaks of a crate {name} that is not there")
')
each fault "$layers"

# --- unsafe: only in crates/secret; every other crate forbids it at its root -------------------------------------
sources=$(git ls-files '*.rs' ':!crates/secret/**')
unsafe_blocks=$(xargs grep -lE '^[^/"]*\bunsafe\s*(\{|fn\b|impl\b|trait\b|extern\b)' <<<"$sources" || true)
unsafe_fault() { fault "unsafe code outside crates/secret: $1"; }
each unsafe_fault "$unsafe_blocks"
for root in crates/*/src/lib.rs crates/*/src/main.rs bench/*/src/main.rs tests/src/lib.rs tests/src/bin/*.rs; do
    case $root in *'*'* | crates/secret/*) continue ;; esac
    grep -q '^#!\[forbid(unsafe_code)\]' "$root" || fault "$root does not forbid unsafe code"
done

# --- length: a file over 500 lines holds more than one idea -------------------------------------------------------
lengths=$(git ls-files -z '*.rs' '*.py' '*.go' '*.sh' | xargs -0 wc -l)
too_long=$(awk '$2 != "total" && $1 > 500 { print $2 " has " $1 " lines, over 500" }' <<<"$lengths")
each fault "$too_long"

# --- backends: chosen by name in the wiring and nowhere else ------------------------------------------------------
naming=$(git grep -l 'keyfold_backends' -- crates/server/src crates/cli/src || true)
naming_fault() {
    case $1 in
    crates/server/src/wiring.rs | crates/server/src/wiring/*) ;;
    *) fault "$1 names a backend: only the wiring may" ;;
    esac
}
each naming_fault "$naming"
knowing=$(git grep -liE '^[^/]*\b(redb|postgres|etcd)\b' -- crates/core/src || true)
knowing_fault() { fault "$1: the core knows no backend by name"; }
each knowing_fault "$knowing"

# --- words: the design's, and nothing about the machine it was made on --------------------------------------------
words=$(git grep -niE 'master[ _-]?key' -- '*.rs' '*.md' '*.sh' ':!scripts/shape.sh' ':!docs/adr' || true)
words_fault() { fault "a root key is no master: $1"; }
each words_fault "$words"
paths=$(git grep -nE '(^|[^A-Za-z0-9_.$}])/(work|root|home)/[a-z]' -- ':!scripts/shape.sh' ':!*.lock' ':!*go.sum' || true)
paths_fault() { fault "an absolute path of some machine: $1"; }
each paths_fault "$paths"

if [ "$faults" -gt 0 ]; then
    echo "shape: $faults faults" >&2
    exit 1
fi
echo "shape: layers, unsafe, length, wiring and words are as they should be"
