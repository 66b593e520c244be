#!/usr/bin/env bash
# Decrypts the object NAME of the bucket into OUT: get.sh s3://BUCKET/FOLDER NAME OUT
set -euo pipefail
object=${1%/}/$2 out=$3

keyfold decrypt -context="object=${object#s3://*/}" -o "$out" "$object"
