"""Rotation at scale on a RAM disk: many small envelopes beside encrypting them anew, and a petabyte that is killed and resumed."""

import hashlib
import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from measure.data_plane import site

HEADER = 4096
# Files that are decrypted and encrypted by commands, which says how long all of them would take.
SAMPLE = 100


class Many:
    """Envelopes of 64 KiB."""

    def __init__(self, quick):
        self.count = site.number("BENCH_FILES", 100_000, 200, quick)
        # Payload and header, and what the file system keeps of a file.
        self.room = self.count * (80 << 10)

    def measure(self, here, ram):
        folder = ram / "small"
        make(here, folder, self.count, 64 << 10)
        here.rotate()
        payloads, before = checksum(folder), written()
        rewrapped, said = here.timed("rewrap", "--durability=batch", "--no-register", folder)
        kernel = written() - before
        if said["rewrapped"] != self.count or said["failed"]:
            raise RuntimeError(f"not all were rewrapped: {said}")
        if said["bytes_written"] != 1024 * self.count:
            raise RuntimeError(f"an envelope took something else than 1,024 bytes: {said}")
        if checksum(folder) != payloads:
            raise RuntimeError("a payload was changed")
        again, _ = here.timed("rewrap", "--no-register", folder)
        commands = by_commands(here, sorted(folder.rglob("*.kf"))[:SAMPLE]) * self.count / SAMPLE
        site.note(f"encrypting {self.count:,} envelopes anew")
        anew, _ = here.timed("reencrypt", folder)
        return self.table(rewrapped, commands, anew, again, said["bytes_written"] / self.count, kernel / self.count)

    def table(self, rewrapped, commands, anew, again, own, kernel):
        return "\n".join([
            f"## Rotation of {self.count:,} files\n\nA transit key is rotated, and envelopes of 64 KiB on a RAM disk, each with a DEK of its "
            "own, are moved under its new version by one `keyfold rewrap --durability=batch`; the server runs on the same cores. The "
            "payloads have the checksum that they had before.\n",
            "| what | seconds | envelopes/s | times the rewrap | goal |",
            "|---|--:|--:|--:|--:|",
            f"| rewrap | {rewrapped:.2f} | {self.count / rewrapped:,.0f} | 1 | |",
            f"| `keyfold decrypt`, then `keyfold encrypt`, of each (by {SAMPLE} of them) | {commands:.1f} "
            f"| {self.count / commands:,.0f} | {commands / rewrapped:.0f} | {site.verdict(commands / rewrapped, 50)} |",
            f"| encrypted anew in one process, `keyfold reencrypt` | {anew:.1f} | {self.count / anew:,.0f} | {anew / rewrapped:.0f} | |",
            f"| a second rewrap, with nothing to do | {again:.2f} | {self.count / again:,.0f} | | |",
            f"\nWritten to each envelope: {own:,.0f} bytes (goal: 1,024); {kernel:,.0f} given to write calls by the kernel's count.\n",
        ])


class Petabyte:
    """Envelopes of 1 GiB, all of them holes."""

    def __init__(self, quick):
        self.count = site.number("BENCH_SPARSE", 1_000_000, 2000, quick)
        # The header, the file system's own, and the journal.
        self.room = self.count * (9 << 10)

    def measure(self, here, ram):
        folder, journal = ram / "sparse", ram / "journal"
        make(here, folder, self.count, 1 << 30, "sparse")
        here.rotate()
        arguments = ["rewrap", "--durability=batch", "--verify=commit", "--no-register", f"--journal={journal}", folder]
        first, half = self.killed(here, arguments)
        site.note(f"killed after {half:,}; going on")
        rest, said = here.timed(*arguments)
        wrong = said["failed"] or said["stopped"] or [row["files"] for row in said["in_use"]] != [self.count]
        if wrong or said["rewrapped"] + said["already_newest"] + said["finished"] != self.count:
            raise RuntimeError(f"the resumed run left something: {said}")
        return self.table(first, rest, said)

    def killed(self, here, arguments):
        """Seconds until it is killed, and how many it had told by then: half of them."""
        site.note(f"rewrapping {self.count:,} envelopes of 1 GiB, killed at half")
        began, half = time.perf_counter(), 0
        command = [here.keyfold, *map(str, arguments), "--json"]
        run = subprocess.Popen(command, env=here.environment, stdout=subprocess.PIPE)
        try:
            for line in run.stdout:
                event = json.loads(line)
                half = event.get("items", half)
                if half >= self.count // 2 or event["event"] == "finished":
                    break
        finally:
            run.kill()
            run.wait()
        return time.perf_counter() - began, half

    def table(self, first, rest, said):
        both = first + rest
        return "\n".join([
            f"## A petabyte\n\n{self.count:,} envelopes of 1 GiB, all of them holes behind real headers, each with a DEK of its own, on a "
            "RAM disk: rewrapped by `keyfold rewrap --durability=batch --verify=commit --journal=…`, which opens the commitment of each "
            "payload with the new wrap before it writes; ended by `kill -9` at half, given again, and counted at the end.\n",
            "| part | seconds | envelopes/s | goal |",
            "|---|--:|--:|--:|",
            f"| until the kill | {first:.1f} | {said['already_newest'] / first:,.0f} | |",
            f"| the rest, and the count | {rest:.1f} | {said['rewrapped'] / rest:,.0f} | |",
            f"| both | {both:.1f} | {self.count / both:,.0f} | < 900 s for a million |",
            f"\nThe second run found {said['already_newest']:,} done, by their headers, retired the old wrap of {said['finished']:,} and "
            f"rewrapped {said['rewrapped']:,}. What it said:\n",
            f"```json\n{json.dumps(said, indent=2)}\n```\n",
        ])


def make(here, folder, count, length, *more):
    site.note(f"making {count:,} envelopes of {length:,} bytes {' '.join(more)}")
    here.example("many_envelopes", folder, count, length, site.KEY, *more)


def by_commands(here, files):
    """Seconds to decrypt and encrypt each of some files, by a command each, on all cores."""
    site.note(f"decrypting and encrypting {len(files)} envelopes by commands")

    def one(sealed):
        plain = sealed.with_suffix(".plain")
        here.run("decrypt", "-o", plain, sealed)
        here.run("encrypt", "--key", site.KEY, "--force", "-o", sealed, plain)
        plain.unlink()

    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(one, files))
    return (time.perf_counter() - start) * SAMPLE / len(files)


def checksum(folder):
    """Of all payloads, in the order of their names."""
    sum = hashlib.sha256()
    for path in sorted(folder.rglob("*.kf")):
        with open(path, "rb") as file:
            file.seek(HEADER)
            sum.update(file.read())
    return sum.digest()


def written():
    """Bytes that this process and its finished children gave to write calls, as the kernel counts."""
    with open("/proc/self/io") as counters:
        return next(int(line.split()[1]) for line in counters if line.startswith("wchar:"))
