#!/usr/bin/env bash
# Dumps DATABASE into FOLDER/DATABASE-TIME.sql.kf, and prints that name: backup.sh DATABASE FOLDER
# KEY and RECIPIENT name who opens it: a key of the server's, and the file with an offline key's public half.
set -euo pipefail
database=$1 folder=$2

# The token lives as long as it is renewed.
keyfold token renew >/dev/null

name=$database-$(date -u +%Y%m%dT%H%M%SZ).sql.kf
part=$folder/.$name.part
trap 'rm -f "$part"' EXIT

pg_dump --no-owner --dbname="$database" |
    keyfold encrypt -key="${KEY:-transit/backups}" -recipient="${RECIPIENT:-offline.recipient}" \
        -context="database=$database" -o "$part" - >&2

# Not reached when one of them failed: what has the name of a backup is a whole one.
mv "$part" "$folder/$name"
sync "$folder"
echo "$folder/$name"
