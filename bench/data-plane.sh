#!/usr/bin/env bash
# Measures the data plane on this machine: files, pipes, parts, values, and rotation at scale.
#
#   bench/data-plane.sh [--quick] [--write] [NAME]...
#
#   file      one file of 4 GiB to a file, encrypted and decrypted, beside cp and age
#   pipe      the same bytes through a pipe, and the memory that takes
#   ranges    10,000 reads of 4 KiB out of an envelope of 16 GiB, beside plain reads of the same chunks
#   values    a million values of 100 bytes, on one core
#   rotation  100,000 envelopes of 64 KiB, rewrapped, and beside that decrypted and encrypted
#   petabyte  a million envelopes of 1 GiB, all of them holes, rewrapped and verified, killed at half and resumed
#   rows      5,000,000 rows of PostgreSQL: a wrap in each, rewrapped; and values under a keyring, whose rows are rewrapped
#   incident  the commands of docs/runbooks/compromised-key.md, with what they print
#
# Without a name, all of them, one after the other. What was decrypted is compared with what was encrypted, by checksum.
#
# --quick   small numbers: shows that it works, measures nothing
# --write   puts each part's figures into its section of docs/performance.md
#
# It works in a RAM disk, and removes what it wrote, also when it is interrupted. A part whose files do not fit into what is
# free there (`rotation` wants 8 GiB, `petabyte` 9, `file` 17, `ranges` 17) is left out with a line that says so, and the exit code is 1.
#
# BENCH_SHM       the RAM disk, or any other folder where files may have holes (default /dev/shm)
# BENCH_MIB       size of the file, in MiB (default 4096)
# BENCH_RANGES    size of the envelope that parts are read of, in GiB (default 16)
# BENCH_FILES     how many envelopes of 64 KiB (default 100000)
# BENCH_SPARSE    how many of 1 GiB (default 1000000)
# BENCH_ROWS      how many rows (default 5000000); PostgreSQL's files lie in TMPDIR, which has to be a disk that has 6 GiB left
# BENCH_PROGRAMS  a folder with keyfold and the examples, for a trial (default: they are built with the profile dist)
set -euo pipefail
cd "$(dirname "$0")/.."

need() {
    command -v "$1" >/dev/null && return
    if [ "$(id -u)" -eq 0 ]; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null
    else
        echo "bench: $1 is missing: apt-get install $2" >&2
        exit 2
    fi
}
need age age
need python3 python3
need psql postgresql

if [ -z "${BENCH_PROGRAMS:-}" ]; then
    cargo build --profile dist --locked -p keyfold-cli
    cargo build --profile dist --locked -p keyfold-client --example many_envelopes \
        -p keyfold-envelope --example values --example ranges
    BENCH_PROGRAMS=${CARGO_TARGET_DIR:-target}/dist
fi
export BENCH_PROGRAMS
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=bench:conformance/python exec python3 -m measure.data_plane "$@"
