#!/usr/bin/env bash
# Moves the envelopes below each FOLDER to the newest version of their key: rewrap.sh FOLDER...
# The server is that of VAULT_ADDR, the token that of VAULT_TOKEN_PATH. The journal goes to STATE_DIRECTORY, or here.
# Exit status: 0 all are there, 75 try again in a while, any other one is for a person.
set -uo pipefail

# It lives as long as it is renewed. Where that fails, the rewrap says what the matter is.
keyfold token renew >/dev/null || echo "rewrap: the token was not renewed" >&2

# A batch is made durable at once, which many small files are quicker with. The new wrap is safe before the old one goes, either way.
keyfold rewrap -durability=batch -journal="${STATE_DIRECTORY:-.}/$(date -u +%F).journal" "$@"
code=$?

case $code in
0) ;;
27 | 28 | 30)
    echo "rewrap: the server is away or sealed, or an envelope is in use: again in a while" >&2
    code=75
    ;;
3) echo "rewrap: the envelopes above are left, the others are done" >&2 ;;
*) echo "rewrap: exit code $code: see keyfold help exit-codes" >&2 ;;
esac
exit $code
