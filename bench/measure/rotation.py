"""Rotation at scale on a RAM disk: many small envelopes beside encrypting them anew, and a petabyte that is killed and resumed."""

import json
import os
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measure import data_plane, process, report

KEY = "transit/payments"
# Files that are decrypted and encrypted by commands, which says how long all of them would take.
SAMPLE = 100


def measure(programs, folder, quick):
    """Returns the table as text."""
    files = int(os.environ.get("BENCH_FILES", 200 if quick else 100_000))
    sparse = int(os.environ.get("BENCH_SPARSE", 2000 if quick else 1_000_000))
    shm = os.environ.get("BENCH_SHM", "/dev/shm")
    with process.keyfold(programs["keyfold"], folder / "rotation") as (server, root):
        server.call("PUT", "/v1/sys/mounts/transit", {"type": "transit"}, root)
        server.call("PUT", f"/v1/transit/keys/{KEY.split('/')[1]}", {}, root)
        tool = data_plane.Tool(programs["keyfold"], server.port, root, folder)
        site = Site(tool, programs["many_envelopes"], server, root)
        with tempfile.TemporaryDirectory(prefix="keyfold-bench-", dir=shm) as ram:
            small = site.small(Path(ram) / "small", files)
        with tempfile.TemporaryDirectory(prefix="keyfold-bench-", dir=shm) as ram:
            petabyte = site.petabyte(Path(ram) / "sparse", sparse)
    return report.rotation(small, petabyte)


class Site:
    """A server with a key, and the programs."""

    def __init__(self, tool, maker, server, root):
        self.tool, self.maker, self.server, self.root = tool, maker, server, root

    def small(self, folder, count):
        """Files of 64 KiB: seconds of a rewrap, bytes a file, seconds of encrypting all of them anew."""
        self.make(folder, count, 64 << 10)
        self.rotate()
        before = data_plane.written()
        rewrapped, said = self.timed("rewrap", "--durability=batch", "--no-register", folder)
        kernel = data_plane.written() - before
        data_plane.note(f"encrypting {count} files anew")
        anew, _ = self.timed("reencrypt", folder)
        commands = self.by_commands(sorted(folder.rglob("*.kf"))[:SAMPLE]) * count / SAMPLE
        return {
            "count": count, "rewrap": rewrapped, "anew": anew, "commands": commands, "kernel": kernel / count, "said": said,
        }

    def by_commands(self, files):
        """Seconds to decrypt and encrypt each of some files, by a command each, on all cores."""
        data_plane.note(f"decrypting and encrypting {len(files)} files by commands")

        def one(sealed):
            plain = sealed.with_suffix(".plain")
            self.tool.run("decrypt", "-o", plain, sealed)
            self.tool.run("encrypt", "--key", KEY, "--force", "-o", sealed, plain)
            plain.unlink()

        start = time.perf_counter()
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(one, files))
        return time.perf_counter() - start

    def petabyte(self, folder, count):
        """Files of 1 GiB, all of them holes: seconds until the kill at half, seconds of the rest, how many each did."""
        self.make(folder, count, 1 << 30, "sparse")
        self.rotate()
        arguments = ["rewrap", "--durability=batch", "--verify=commit", "--no-register", "--json", str(folder)]
        data_plane.note(f"rewrapping {count} files of 1 GiB, killed at half")
        began, half = time.perf_counter(), 0
        run = subprocess.Popen([self.tool.program, *arguments], env=self.tool.environment, stdout=subprocess.PIPE)
        for line in run.stdout:
            event = json.loads(line)
            half = event.get("items", half)
            if half >= count // 2 or event["event"] == "finished":
                break
        run.kill()
        run.wait()
        first = time.perf_counter() - began
        data_plane.note(f"killed after {half} files; going on")
        rest, said = self.timed(*arguments[:-2], folder)
        if said["failed"] or said["stopped"] or [row["files"] for row in said["in_use"]] != [count]:
            raise RuntimeError(f"the resumed run left something: {said}")
        return {"count": count, "first": first, "rest": rest, "said": said}

    def make(self, folder, count, length, *more):
        data_plane.note(f"making {count} envelopes of {length} bytes {' '.join(more)}")
        command = [str(self.maker), str(folder), str(count), str(length), KEY, *more]
        subprocess.run(command, env=self.tool.environment, check=True, stdout=subprocess.DEVNULL)

    def rotate(self):
        self.server.call("PUT", f"/v1/transit/keys/{KEY.split('/')[1]}/rotate", {}, self.root)

    def timed(self, *arguments):
        """Seconds, and what the command reports."""
        start = time.perf_counter()
        said = json.loads(self.tool.run(*arguments, "-format=json"))
        return time.perf_counter() - start, said
