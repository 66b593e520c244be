#!/usr/bin/env bash
# Restores the dump of DATABASE in FILE into the database INTO, which is empty: restore.sh DATABASE FILE INTO
# With IDENTITY, the file of an offline key, no server is asked.
set -euo pipefail
database=$1 file=$2 into=$3

# COMMIT is said only when keyfold has ended well: where the pipe breaks before, psql rolls back.
{
    echo 'BEGIN;'
    keyfold decrypt -verify-first ${IDENTITY:+"-identity=$IDENTITY"} -context="database=$database" -o - "$file"
    echo 'COMMIT;'
} | psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --dbname="$into" >/dev/null
