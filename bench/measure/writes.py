"""KV writes of one node on PostgreSQL, beside what pgbench reaches on the same database with the same transaction."""

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import database
import requests
from measure import load, process, server_plane
from nodes import Node, begin, configuration, on_postgresql, wait_open

CLIENTS = load.CONNECTIONS
SECRET = {"password": "x" * 100}
POLICY = 'path "kv1/*" { capabilities = ["create", "update"] } path "kv2/data/*" { capabilities = ["create", "update"] }'
# The way to a secret, and what is sent there.
ENGINES = {"KV v1": ("kv1", SECRET), "KV v2": ("kv2/data", {"data": SECRET})}
# Tables of the same shape as the server's.
TABLES = """
CREATE TABLE bench (LIKE keyfold INCLUDING ALL);
CREATE TABLE bench_changes (LIKE keyfold_changes INCLUDING ALL);
CREATE TABLE bench_meta (LIKE keyfold_meta INCLUDING ALL) WITH (fillfactor = 10);
INSERT INTO bench_meta SELECT * FROM keyfold_meta;
"""
# The plans that the server asks for: along indexes, made once.
PLANS = {
    "enable_seqscan": "off", "enable_bitmapscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan", "jit": "off",
}
# What the server's writer does for a group of one (crates/backends/src/storage/postgres/transaction.rs), in as many round trips.
SAME = """
\\set n :n + 1
\\startpipeline
BEGIN;
SELECT revision, stage FROM bench_meta FOR UPDATE;
SELECT c.n, e.revision FROM unnest({keys}, {digests}) WITH ORDINALITY AS c(key, digest, n)
    JOIN bench e ON e.key = c.key AND e.digest = c.digest;
\\endpipeline
\\startpipeline
WITH gone AS (
    DELETE FROM bench e USING unnest('{{}}'::text[], '{{}}'::bytea[]) AS g(key, digest) WHERE e.key = g.key AND e.digest = g.digest
), put AS (
    INSERT INTO bench (key, digest, rest, value, revision)
    SELECT p.*, m.revision + 1 FROM unnest({keys}, {digests}, {rests}, {values}) AS p, bench_meta m
    ON CONFLICT (key, digest) DO UPDATE SET value = EXCLUDED.value, revision = EXCLUDED.revision
), told AS (
    INSERT INTO bench_changes (revision, origin, keys, replaced) SELECT revision + 1, '\\x{origin}', {keys}, false FROM bench_meta
), noticed AS (SELECT pg_notify('bench', revision::text) FROM bench_meta)
UPDATE bench_meta SET revision = revision + 1 FROM noticed;
COMMIT;
\\endpipeline
"""
PLAIN = """
\\set n :n + 1
\\startpipeline
BEGIN;
{puts}COMMIT;
\\endpipeline
"""
PUT = """INSERT INTO bench (key, digest, rest, value, revision) VALUES ({key}, '', '', {value}, 1)
    ON CONFLICT (key, digest) DO UPDATE SET value = EXCLUDED.value, revision = EXCLUDED.revision;
"""


@dataclass
class Row:
    """An engine: the shape of what one write stores, and what was reached."""

    records: int
    key: int
    value: int
    written: list = field(default_factory=list)
    same: list = field(default_factory=list)
    alone: list = field(default_factory=list)
    plain: list = field(default_factory=list)


def measure(folder, quick):
    """The section, as text."""
    seconds, count = (1, 1) if quick else (8, 3)
    refuse_memory(folder)
    with contextlib.ExitStack() as stack:
        # It does all that it does to lose nothing.
        postgres = stack.enter_context(database.running(fsync="on"))
        server, token = started(stack, folder, postgres)
        rows = {name: shape(postgres, server, token, name) for name in ENGINES}
        postgres.sql(TABLES)
        probes = []
        for turn in range(count):
            probes.append(server_plane.fdatasync_us(folder))
            for name, row in rows.items():
                print(f"round {turn + 1} of {count}: {name}", file=sys.stderr, flush=True)
                row.written.append(write(postgres, server, token, name, turn, seconds))
                row.same.append(pgbench(postgres, same(row), CLIENTS, seconds))
                row.alone.append(pgbench(postgres, same(row), 1, seconds))
                row.plain.append(pgbench(postgres, plain(row), CLIENTS, seconds))
    return section(rows, count, median(probes))


def refuse_memory(folder):
    kind = subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        raise SystemExit(f"bench: {folder} is in memory ({kind}): let TMPDIR name a folder on a disk")


def started(stack, folder: Path, postgres):
    """A server on the database, and a token that is not root."""
    node = Node(folder, configuration(folder).replace("STORAGE", on_postgresql(postgres.port, table="keyfold"))).start()
    server = process.Process(node.process, node.port, "https")
    stack.callback(process.stop, node.process)
    root, verify = begin(node, str(folder / "ca.pem"))
    wait_open(node, verify)

    def call(path, body):
        answer = requests.post(f"https://localhost:{node.port}/v1/{path}", json=body, headers=root, verify=verify)
        answer.raise_for_status()
        return answer

    call("sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
    call("sys/mounts/kv2", {"type": "kv", "options": {"version": "2"}})
    call("sys/policies/acl/bench", {"policy": POLICY})
    return server, call("auth/token/create", {"policies": ["bench"]}).json()["auth"]["client_token"]


def write(postgres, server, token, name, turn, seconds):
    """A round of wrk that writes to paths of its own."""
    path, body = ENGINES[name]
    postgres.sql("CHECKPOINT")
    return load.run(server, "/", seconds, "unique", token=token, body=json.dumps(body), prefix=f"/v1/{path}/{turn}-")


def shape(postgres, server, token, name):
    """What one write stores, by the table of changes."""
    before = postgres.sql("SELECT revision FROM keyfold_meta")
    write(postgres, server, token, name, "shape", 1)
    text = postgres.sql(
        "SELECT count(*)::float8 / count(DISTINCT c.revision), avg(length(e.key)), avg(octet_length(e.value)) "
        "FROM keyfold_changes c, unnest(c.keys) AS k(key) JOIN keyfold e ON e.key = k.key AND e.rest = '' "
        f"WHERE c.revision > {before}"
    )
    return Row(*(round(float(figure)) for figure in text.split("|")))


# --- pgbench ------------------------------------------------------------------------------------------------------


def keys(row):
    """Expressions for the keys of one transaction, as long as the server's, each new."""
    return [f"lpad(:client_id || '-' || :n || '-{number}', {row.key}, 'k')" for number in range(row.records)]


def value(row):
    return f"'\\x{'5a' * row.value}'::bytea"


def same(row):
    """One write as the server's writer has it."""
    array = lambda kind, items: f"ARRAY[{', '.join(items)}]::{kind}[]"  # noqa: E731
    empty = ["''"] * row.records
    return SAME.format(
        keys=array("text", keys(row)), digests=array("bytea", empty), rests=array("text", empty),
        values=array("bytea", [value(row)] * row.records), origin="5a" * 16,
    )


def plain(row):
    """The same records, and nothing that all writers share."""
    return PLAIN.format(puts="".join(PUT.format(key=key, value=value(row)) for key in keys(row)))


def pgbench(postgres, script, clients, seconds):
    """Transactions for each second, on empty tables."""
    postgres.sql("TRUNCATE bench; TRUNCATE bench_changes; CHECKPOINT")
    with tempfile.NamedTemporaryFile("w", prefix="bench-pgbench-") as file:
        file.write(script)
        file.flush()
        command = [
            postgres.bin / "pgbench", "-n", "-M", "prepared", "-c", clients, "-j", min(clients, load.threads()), "-T", seconds,
            "-f", file.name, "-D", "n=0", "-h", "127.0.0.1", "-p", postgres.port, "-U", "owner", "postgres",
        ]
        options = " ".join(f"-c {name}={value}" for name, value in PLANS.items())
        environment = {**os.environ, "PGPASSWORD": database.PASSWORD, "PGOPTIONS": options}
        done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True)
    failed = re.search(r"^number of failed transactions: (\d+)", done.stdout, re.M)
    reached = re.search(r"^tps = ([\d.]+)", done.stdout, re.M)
    if done.returncode != 0 or not reached or not failed or failed[1] != "0":
        raise RuntimeError(f"pgbench: {done.stdout}{done.stderr}")
    return float(reached[1])


# --- report -------------------------------------------------------------------------------------------------------


def section(rows, count, fdatasync):
    """The table."""
    lines = [
        "## KV writes on PostgreSQL\n\nOne node with TLS on one PostgreSQL (fsync on) on this machine: wrk, "
        f"{CLIENTS} connections, each write a secret of 100 bytes at a path of its own, acknowledged when it is committed; a token that "
        "is not root, under an ACL policy. "
        f"Beside it pgbench on the same database, {CLIENTS} clients with TLS and prepared statements, in tables of the same shape with "
        "records of the same size. *The same transaction* is what the server sends for one write: it locks the store's one row, reads "
        "what the checks ask for, writes the records, the change and the revision, and notifies, in two round trips. The server puts "
        "writes that come at once into one transaction, pgbench does not: its clients wait for each other at that row, so that *one "
        "client* alone stands beside them. *Without the row* they write the same records and nothing else, and wait for nobody: the "
        f"stricter comparison. Medians of {count} rounds in turn.\n",
        "| write | records | Keyfold, writes/s | p99 | CPU per write | pgbench, the same transaction, per second | ratio | goal "
        "| one client | ratio | without the row | ratio |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, row in rows.items():
        done = load.middle(row.written)
        reached = map(median, (row.same, row.alone, row.plain))
        same, alone, plain = (f"{each:,.0f} | {done.per_second / each:.2f}" for each in reached)
        lines.append(
            f"| {name} | {row.records} | {done.per_second:,.0f} | {done.p99_us / 1000:.2f} ms | {done.cpu_us:.1f} µs "
            f"| {same} | ≥ 0.50 | {alone} | {plain} |"
        )
    lines.append(f"\nOne 4 KiB fdatasync on this disk: {fdatasync:.0f} µs (median of probes between the rounds).")
    return "\n".join(lines) + "\n"
