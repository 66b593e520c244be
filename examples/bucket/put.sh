#!/usr/bin/env bash
# Encrypts each FILE into the bucket, under its own name: put.sh s3://BUCKET/FOLDER FILE...
# KEY names the key of the server's that opens it again.
set -euo pipefail
folder=${1%/}
shift

for file in "$@"; do
    object=$folder/$(basename "$file")
    # Bound to its name in the bucket, so that another object does not open in its place.
    keyfold encrypt -key="${KEY:-transit/app}" -context="object=${object#s3://*/}" -o "$object" "$file"
done
