#!/usr/bin/env bash
# Runs hvac's own integration suite against the keyfold binary: conformance/hvac/run.sh TOOLS
#
# TOOLS holds the suite's runner, its packages and the names that have to pass. A test that fails and is neither among
# those nor in fails.txt, where each has its reason, is a failure; so is one of fails.txt that passes.
# KEYFOLD_BIN names the binary.
set -euo pipefail
tools=$(realpath "$1")
cd "$(dirname "$0")/../.."

target=$(realpath "${CARGO_TARGET_DIR:-target}")
pins=$(sha256sum "$tools/hvac_requirements.txt" | cut -c1-16)
venv=$target/conformance-hvac-$pins
if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$tools/hvac_requirements.txt"
    touch "$venv/ready"
fi
results=$(mktemp)
trap 'rm -f "$results"' EXIT
failed=0
HVAC_PYTHON=$venv/bin/python HVAC_EXPECT=$tools/hvac_issue2_want.txt HVAC_RESULTS=$results \
    HVAC_TIMEOUT=1800 "$tools/hvac_suite.sh" "$KEYFOLD_BIN" core || failed=1

known=$(grep -v '^#' conformance/hvac/fails.txt | sed '/^$/d' | sort)
fails=$(sed -nE 's/^(failed|error) //p' "$results" | sort)
new=$(comm -13 <(echo "$known") <(echo "$fails") | sed '/^$/d')
gone=$(comm -23 <(echo "$known") <(echo "$fails") | sed '/^$/d')
[ -z "$new" ] || { echo "hvac: these fail and have no reason in fails.txt:"; echo "$new"; failed=1; }
[ -z "$gone" ] || { echo "hvac: these pass: take them out of fails.txt:"; echo "$gone"; failed=1; }
[ "$failed" -ne 0 ] || echo "ok  hvac's own suite: $(grep -c '^passed' "$results") passed, $(wc -l <<<"$fails") fail for a known reason"
exit "$failed"
