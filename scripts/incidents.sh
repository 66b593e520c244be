#!/usr/bin/env bash
# The demo's second part: a lost HSM, a stolen DEK, a restore elsewhere. With servers of its own, a token of SoftHSM2, and
# the commands that an operator types: each is printed, then run, with what it says. What is claimed was checked before.
#
#   KEYFOLD_BIN=target/release/keyfold scripts/incidents.sh
#
# Leaves nothing behind, however it ends. Where there is no SoftHSM2 it says so; that is no failure.
set -euo pipefail
exec </dev/null

bin=$(command -v "${KEYFOLD_BIN:-keyfold}") || {
    echo "incidents: ${KEYFOLD_BIN:-keyfold} is no program: KEYFOLD_BIN names it" >&2
    exit 1
}
bin=$(realpath "$bin")
# What is set for another server must not speak to these.
unset "${!VAULT_@}" "${!BAO_@}" "${!KEYFOLD_@}"
export LC_ALL=C
umask 077

bold='' green='' plain='' mark=ok
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
    mark=✓
    [ -n "${NO_COLOR:-}" ] || bold=$'\e[1m' green=$'\e[32m' plain=$'\e[0m'
fi
chapter() { printf '\n%s%s%s\n' "$bold" "$1" "$plain"; }
say() { printf '   %s\n' "$1"; }
holds() { printf '   %s%s%s %s\n' "$green" "$mark" "$plain" "$1"; }
command_line() { printf '   %s$ %s%s\n' "$bold" "$1" "$plain"; }
fail() {
    echo "incidents: $1" >&2
    exit 1
}

# run COMMAND: prints it, runs it, prints what it says; that is in the file `said`, too.
run() {
    local code=0
    command_line "$1"
    eval "$1" >said || code=$?
    sed 's/^./     &/' said
    return $code
}
keyfold() { "$bin" "$@"; }
# soon COMMAND: waits until it succeeds, for ten seconds at most.
soon() {
    for _ in {1..200}; do
        ! eval "$1" >/dev/null 2>&1 || return 0
        sleep 0.05
    done
    fail "waited in vain for: $1"
}
milliseconds() { echo $((${EPOCHREALTIME/./} / 1000)); }
began=$(milliseconds)

# --- the parts -----------------------------------------------------------------------------------------------------

if ! command -v softhsm2-util >/dev/null && [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "incidents: installing softhsm2 from Debian's packages" >&2
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq softhsm2; } >/dev/null 2>&1 || true
fi
library=''
for folder in /usr/lib*/softhsm /usr/lib*/*/softhsm /usr/lib64/pkcs11 /usr/local/lib/softhsm; do
    [ ! -e "$folder/libsofthsm2.so" ] || library=$folder/libsofthsm2.so
done
if [ -z "$library" ] || ! command -v softhsm2-util >/dev/null; then
    chapter "Part two, a lost HSM, is left out: SoftHSM2 is not here (apt-get install softhsm2)."
    exit 0
fi

work=$(mktemp -d)
server=''
cleanup() {
    trap '' INT TERM HUP PIPE
    if [ -n "$server" ]; then
        kill -KILL "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    cd / && rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM
work=$(realpath "$work")
[ ${#work} -le 70 ] || fail "TMPDIR is too long to hold a socket: give a shorter one"
cd "$work"
export HOME=$work SOFTHSM2_CONF=$work/softhsm2.conf
printf 'directories.tokendir = %s/tokens\nobjectstore.backend = file\nlog.level = ERROR\n' "$work" >softhsm2.conf

# new_token ID: an HSM with an AES key of that id. The import ends a key at a zero byte and after a line break.
new_token() {
    mkdir tokens
    head -c 64 /dev/urandom | tr -d '\0\n' | head -c 32 >key
    softhsm2-util --init-token --free --label hsm --pin 123456 --so-pin 654321 >/dev/null
    softhsm2-util --import key --aes --token hsm --label root --id "$1" --pin 123456 >/dev/null
    rm key
}

# configure FOLDER: a server's configuration, and the seals of standard input.
configure() {
    mkdir "$1"
    {
        printf 'storage "redb" { path = "%s/store.redb" }\n' "$1"
        printf 'listener "unix" { address = "%s/keyfold.sock" }\npid_file = "%s/keyfold.pid"\n' "$1" "$1"
        cat
    } >"$1/server.hcl"
}

# serve FOLDER: starts the server that is asked from here on.
serve() {
    command_line "keyfold server -config=$1/server.hcl &"
    export VAULT_ADDR=unix://$work/$1/keyfold.sock
    : >"$1/banner"
    "$bin" server -config="$1/server.hcl" >"$1/banner" 2>>"$1/log" &
    server=$!
    for _ in {1..300}; do
        ! grep -q 'server started!' "$1/banner" || return 0
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    cat "$1/log" >&2
    fail "the server does not start"
}
stop() {
    kill "$server"
    wait "$server" || fail "the server ended with code $?"
    server=''
}

# canaries PASSWORD: a secret and a ciphertext read as they should.
canaries() {
    [ "$(keyfold kv get -field=password secret/service-7)" = "$1" ] || fail "the password is another"
    [ "$(keyfold write -field=plaintext transit/decrypt/payments ciphertext="$ciphertext")" = "$plaintext" ] ||
        fail "the ciphertext opens to something else"
}

# open_with SHARES: custodians give theirs, one after the other.
open_with() {
    local since
    since=$(milliseconds)
    run "for n in $1; do keyfold operator unseal - <share.\$n | grep '^Sealed'; done"
    grep -q '^Sealed *false' said || fail "three shares do not open it"
    opened=$(($(milliseconds) - since))
}

# --- the story -----------------------------------------------------------------------------------------------------

chapter "Part two: the day a key is lost. Each command is run as it is printed."

chapter "8. The evening before"
say "An HSM (a token of SoftHSM2) opens the server by itself; five custodians have a share each, for the day it can't."
new_token 01
configure here <<END
seal "pkcs11" "hsm" {
  lib         = "$library"
  token_label = "hsm"
  key_label   = "root"
  pin         = "123456"
}
END
serve here
command_line "keyfold operator init -recovery-shares=5 -recovery-threshold=3"
say "  (five shares and a root token, shown once, to those who are to have them)"
keyfold operator init -recovery-shares=5 -recovery-threshold=3 >keys
for n in 1 2 3 4 5; do
    sed -n "s/^Recovery Key $n: //p" keys >"share.$n"
done
VAULT_TOKEN=$(sed -n 's/^Initial Root Token: //p' keys)
export VAULT_TOKEN
rm keys
plaintext=$(printf 'IBAN of the payee' | base64)
{
    keyfold secrets enable -path=secret -version=2 kv
    keyfold secrets enable transit
    keyfold write -f transit/keys/payments
    for n in {1..50}; do
        keyfold kv put "secret/service-$n" password="old-$n"
    done
} >/dev/null
ciphertext=$(keyfold write -field=ciphertext transit/encrypt/payments plaintext="$plaintext")
canaries old-7
run 'keyfold operator seal check'
run 'keyfold operator snapshot save last-night.kfsnap'
holds "50 passwords are in secret/, a key is in transit/, and both are in the snapshot."

chapter "9. The HSM is lost"
run 'mv tokens lost'
canaries old-7
holds "The running server does not notice: passwords are read, ciphertexts opened. Then its machine starts anew."
stop
mkdir tokens
serve here
soon 'grep "^Seal hsm" <(keyfold status)'
code=0
run "keyfold status | grep -E '^(Sealed|Seal hsm)'" || code=$?
[ $code -eq 2 ] || fail "status ended with code $code, which is not that of a sealed server"
grep -q '^Seal hsm .*down' said || fail "nobody says that the HSM is down"
holds "It runs, is sealed, and says which seal is down and why."
open_with '1 3 5'
canaries old-7
holds "Open with three of the five shares, in $opened ms. The password and the ciphertext read as before."
rmdir tokens
new_token 02
say "A new HSM comes, with another key under the old label: the configuration stays as it is."
# shellcheck disable=SC2016 # It is printed as it is typed.
run 'kill -HUP "$(cat here/keyfold.pid)"'
soon 'keyfold operator seal check'
run 'keyfold operator seal check'
stop
serve here
soon 'keyfold status'
canaries old-7
holds "The root key was wrapped for the new HSM: started anew, the server opens without anybody."

chapter "10. A mount's DEK is stolen"
# What was said of one member, and of the DEKs of other mounts, but for their age.
datum() { sed -n "s/^$1  *//p" said; }
others() { sed -nE '/^dek  *secret/d; s/^dek (.*) [0-9]+h[0-9]+m /\1/p' said; }
say "A thief has a copy of the store and the DEK of secret/. He reads secret/; each other mount has a DEK of its own."
run "keyfold operator keys report | grep -E '^(Key|dek) '"
others=$(others)
run "keyfold operator rotate-dek -watch secret/ | grep -vE '^(mount|rate|records_passed)'"
records=$(datum records)
[ "$(datum state)" = "done" ] || fail "the rotation did not end"
[ "$(datum records_rewritten) $(datum records_damaged)" = "$records 0" ] || fail "records were left"
took=$((($(date -d "$(datum finished)" +%s%N) - $(date -d "$(datum started)" +%s%N)) / 1000000))
run "keyfold operator keys report | grep '^dek '"
[ "$(grep -c 'secret/ *2  *active' said)" = 1 ] || fail "version 2 does not seal"
! grep -q 'secret/ *1 ' said || fail "version 1 is still there"
canaries old-7
keyfold operator snapshot save this-morning.kfsnap >/dev/null
grep -q '^core/dek/ *3 ' <(keyfold operator snapshot inspect this-morning.kfsnap) ||
    fail "the store of three mounts holds more than three DEKs"
holds "All $records records of the mount are under version 2 after $took ms; version 1 is destroyed. They read as before."
[ "$(others)" = "$others" ] || fail "another mount's DEK was touched"
keyfold kv put secret/service-7 password=new-7 >/dev/null
canaries new-7
holds "No other DEK was touched. What the thief copied he has: so passwords are changed now. He can't read the new ones."

chapter "11. Last night's snapshot, elsewhere"
since=$(milliseconds)
run 'cat share.2 share.4 share.5 | keyfold operator drill -share=- -share=- -share=- last-night.kfsnap'
holds "Rehearsed in $(($(milliseconds) - since)) ms: exit code 0. The running server was not asked, and nothing listened."
stop
say "And in earnest, at another site: an empty store, no HSM, nobody's token."
configure elsewhere </dev/null
serve elsewhere
token=$VAULT_TOKEN
unset VAULT_TOKEN
run 'keyfold operator snapshot restore last-night.kfsnap'
open_with '2 3 4'
export VAULT_TOKEN=$token
canaries old-7
holds "Open in $opened ms. It is last night's store: its passwords, keys, tokens, shares. What came after is not in it."
stop

took=$(($(milliseconds) - began))
chapter "Everything held. $((took / 1000)).$((took / 100 % 10)) s in all; nothing is left behind."
