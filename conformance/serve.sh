#!/usr/bin/env bash
# Runs a command beside a Keyfold server of its own: conformance/serve.sh COMMAND...
# KEYFOLD_BIN names the binary. The command finds VAULT_ADDR and VAULT_TOKEN, a root token.
set -euo pipefail

folder=$(mktemp -d)
token=conformance-$RANDOM$RANDOM$RANDOM
HOME=$folder "$KEYFOLD_BIN" server -dev -dev-root-token-id="$token" -dev-listen-address=127.0.0.1:0 \
    >"$folder/out" 2>"$folder/log" &
server=$!
stop() {
    kill -9 "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
for _ in $(seq 300); do
    address=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$folder/out" | head -n 1)
    # The token is the banner's last line: from then on it answers.
    if [ -n "$address" ] && grep -q '^Root Token:' "$folder/out"; then
        ready=yes
        break
    fi
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
done
if [ "${ready:-no}" != yes ]; then
    echo "conformance: the server did not start:" >&2
    cat "$folder/out" "$folder/log" >&2
    exit 1
fi
VAULT_ADDR=$address VAULT_TOKEN=$token "$@"
