"""Rows of PostgreSQL: a wrap in each, which is rewrapped, and values under a keyring, of which only that is."""

import base64
import json
import os
import subprocess
import threading

import database

from measure.data_plane import site

WRAPS = "transit/rows"
# Wraps of one call, and every which row is opened at the end.
CALL = 2000
SAMPLE = 1000
LEN = 100
PASSWORD = {"PGPASSWORD": database.PASSWORD}


class Rows:
    """A table with a wrap in each row, and one with a value in each."""

    # PostgreSQL writes to a disk.
    room = 64 << 20

    def __init__(self, quick):
        self.count = site.number("BENCH_ROWS", 5_000_000, 20_000, quick)

    def measure(self, here, ram):
        here.call("PUT", site.key_path(WRAPS), {})
        with database.running(fsync="on", ssl="off") as db:
            kind = subprocess.run(["stat", "-f", "-c", "%T", db.folder], capture_output=True, text=True).stdout.strip()
            wrapped = self.wrapped(here, db)
            sealed = self.sealed(here, db, db.address("table=keyrings&service=customers&sslmode=disable"))
        return self.table(wrapped, sealed, kind)

    def wrapped(self, here, db):
        """A wrap of its own in each row: seconds of its rewrap."""
        site.note(f"wrapping {self.count:,} DEKs")
        db.sql("CREATE TABLE accounts (id bigint PRIMARY KEY, dek text NOT NULL)")
        kept = {}
        with Copy(db, "accounts") as copy:
            for first in range(0, self.count, CALL):
                deks = [base64.b64encode(os.urandom(32)).decode() for _ in range(min(CALL, self.count - first))]
                batch = {"batch_input": [{"plaintext": dek} for dek in deks]}
                made = here.call("PUT", "transit/encrypt/rows", batch)["data"]["batch_results"]
                copy.rows((first + at, item["ciphertext"]) for at, item in enumerate(made))
                kept |= {first + at: dek for at, dek in enumerate(deks) if (first + at) % SAMPLE == 0}
        db.sql("VACUUM ANALYZE accounts")
        here.rotate(WRAPS)
        site.note(f"rewrapping {self.count:,} rows")
        address = db.address(f"table=accounts&wrapped=dek&key={WRAPS}&sslmode=disable")
        seconds, said = here.timed("rewrap", "--no-register", address, variables=PASSWORD)
        versions = db.sql("SELECT split_part(dek, ':', 2), count(*) FROM accounts GROUP BY 1")
        if said["failed"] or versions != f"v2|{self.count}":
            raise RuntimeError(f"not all rows were rewrapped: {versions}: {said}")
        self.opens(here, db, kept)
        db.sql("DROP TABLE accounts")
        return seconds

    def opens(self, here, db, kept):
        rows = db.sql(f"SELECT id, dek FROM accounts WHERE id % {SAMPLE} = 0").splitlines()
        wraps = dict(row.split("|") for row in rows)
        batch = {"batch_input": [{"ciphertext": wrap} for wrap in wraps.values()]}
        opened = here.call("PUT", "transit/decrypt/rows", batch)["data"]["batch_results"]
        if {int(row): item["plaintext"] for row, item in zip(wraps, opened)} != kept:
            raise RuntimeError("a row holds another DEK than before")

    def sealed(self, here, db, keyring):
        """A value in each row, under a keyring: seconds of the keyring's rewrap, and its DEKs."""
        site.note(f"sealing {self.count:,} values")
        here.run("keyring", "create", f"--key={WRAPS}", f"--store={keyring}", "customers", variables=PASSWORD)
        db.sql("CREATE TABLE customers (id bigint PRIMARY KEY, iban text NOT NULL)")
        plain = base64.b64encode(b"a" * LEN).decode()
        place = {"table": "customers", "column": "iban"}
        asked = ({"op": "seal", **place, "key": str(row), "plaintext": plain} for row in range(self.count))
        with Copy(db, "customers") as copy:
            copy.rows(enumerate(answer["value"] for answer in lines(here, keyring, asked)))
        before = sum_of(db)
        here.rotate(WRAPS)
        seconds, said = here.timed("keyring", "rewrap", keyring, variables=PASSWORD)
        if said["failures"] or said["rewrapped"] != said["deks"] or sum_of(db) != before:
            raise RuntimeError(f"not only the keyring was rewrapped: {said}")
        rows = db.sql(f"SELECT id, iban FROM customers WHERE id % {SAMPLE} = 0").splitlines()
        asked = ({"op": "open", **place, "key": key, "value": value} for key, value in (row.split("|") for row in rows))
        if any(answer.get("plaintext") != plain for answer in lines(here, keyring, asked)):
            raise RuntimeError("a value does not open any more")
        return seconds, said["rewrapped"]

    def table(self, wrapped, sealed, kind):
        seconds, deks = sealed
        return "\n".join([
            f"## {self.count:,} rows of PostgreSQL\n\nA key is rotated, and everything under it is moved under its new version: by `keyfold "
            "rewrap pg://…`, where each row has a wrap of its own; by `keyfold keyring rewrap`, where each has a value under one of the DEKs of "
            f"a keyring, which is a table beside them. PostgreSQL, with `fsync` and its files on {kind}, and the server run on the same cores. Every {SAMPLE:,}th row is "
            "opened and compared afterwards.\n",
            "| form | written | seconds | rows/h | goal |",
            "|---|--:|--:|--:|--:|",
            f"| a wrap in each row | {self.count:,} rows | {wrapped:.1f} | {self.count / wrapped * 3600 / 1e6:,.0f} million | ≥ 100 million |",
            f"| a keyring | {deks} rows, one for each DEK | {seconds:.2f} | | seconds |\n",
        ])


class Copy:
    """Rows into a table, by COPY."""

    def __init__(self, db, table):
        self.command = db.command("-c", f"COPY {table} FROM STDIN")

    def __enter__(self):
        self.psql = subprocess.Popen(self.command, stdin=subprocess.PIPE, text=True)
        return self

    def rows(self, rows):
        self.psql.stdin.writelines(f"{row}\t{text}\n" for row, text in rows)

    def __exit__(self, *_):
        self.psql.stdin.close()
        if self.psql.wait():
            raise RuntimeError(f"COPY ended with {self.psql.returncode}")


def lines(here, keyring, asked):
    """The answers of `keyfold value` to lines of JSON, in order."""
    command = [here.keyfold, "value", f"--keyring={keyring}"]
    environment = here.environment | PASSWORD
    run = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def write():
        run.stdin.writelines(json.dumps(line) + "\n" for line in asked)
        run.stdin.close()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    for line in run.stdout:
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"keyfold value says {answer}")
        yield answer
    writer.join()
    if run.wait():
        raise RuntimeError(f"keyfold value ended with {run.returncode}")


def sum_of(db):
    """A checksum of what the rows hold, and of which version of each it is."""
    return db.sql("SELECT sum(hashtextextended(id || iban || xmin::text, 0)) FROM customers")
