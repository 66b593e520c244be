"""Files: encryption beside age and cp on a RAM disk, memory on a pipe, rewrap of many files."""

import os
import re
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from measure import process, report

POLICY = """
path "transit/+/wrapped/payments" { capabilities = ["update"] }
path "transit/+/plaintext/payments" { capabilities = ["update"] }
path "transit/+/payments" { capabilities = ["create", "read", "update"] }
"""


def measure(programs, folder, quick):
    """Returns the tables as text."""
    mib = int(os.environ.get("BENCH_MIB", 64 if quick else 4096))
    gib = int(os.environ.get("BENCH_RANGES", 1 if quick else 16))
    files = int(os.environ.get("BENCH_FILES", 100 if quick else 10_000))
    shm = os.environ.get("BENCH_SHM", "/dev/shm")
    with process.keyfold(programs["keyfold"], folder / "data-plane") as (server, root):
        server.call("PUT", "/v1/sys/mounts/transit", {"type": "transit"}, root)
        server.call("PUT", "/v1/transit/keys/payments", {}, root)
        server.call("PUT", "/v1/sys/policies/acl/files", {"policy": POLICY}, root)
        token = server.call("PUT", "/v1/auth/token/create", {"policies": ["files"]}, root)
        tool = Tool(programs["keyfold"], server.port, token["auth"]["client_token"], folder)
        with tempfile.TemporaryDirectory(prefix="keyfold-bench-", dir=shm) as ram:
            big = one_file(tool, Path(ram), mib, 1 if quick else 7)
        with tempfile.TemporaryDirectory(prefix="keyfold-bench-", dir=shm) as ram:
            library = [process.said(programs["values"]), process.said(programs["ranges"], ram, gib)]
        many = many_files(tool, server, root, folder / "files", files)
    return report.data(mib, big, many, library, gib)


class Tool:
    """The keyfold command, pointed at the server."""

    def __init__(self, program, port, token, home):
        self.program = str(program)
        self.environment = dict(
            os.environ, VAULT_ADDR=f"http://127.0.0.1:{port}", VAULT_TOKEN=token, HOME=str(home)
        )

    def run(self, *arguments, **settings):
        command = [self.program, *map(str, arguments)]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, **settings)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-400:]}")
        return done.stdout + done.stderr


def one_file(tool, ram, mib, rounds):
    """The run of each program, and the peak memory of keyfold on a pipe."""
    source, out, sealed = ram / "source", ram / "out", ram / "sealed.kf"
    fill(source, mib)
    keep_warm(ram, mib)
    identity = ram / "identity"
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    recipient = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True)
    writing = {
        "cp": lambda: subprocess.run(["cp", source, out], check=True),
        "age": lambda: subprocess.run(
            ["age", "-r", recipient.stdout.strip(), "-o", out, source], check=True
        ),
        "keyfold encrypt": lambda: tool.run("encrypt", "--key", "transit/payments", "-o", out, source),
    }
    runs = timed(writing, out, mib, rounds)
    out.rename(sealed)
    reading = {"keyfold decrypt": lambda: tool.run("decrypt", "-o", out, sealed)}
    runs |= timed(reading, out, mib, rounds)
    if subprocess.run(["cmp", "-s", source, out]).returncode:
        raise RuntimeError("the decrypted file differs from the source")
    out.unlink()
    sealed.unlink()
    return runs, pipe_peak_mib(tool, source)


@dataclass
class Run:
    """Seconds of one run: by the clock, and of the processors, outside the kernel and in it."""

    clock: float
    user: float
    kernel: float


def timed(commands, out, mib, rounds):
    """The run of each command that took a median time, of interleaved rounds; what the last one wrote stays."""
    runs = {name: [] for name in commands}
    for turn in range(rounds):
        for name, command in commands.items():
            note(f"round {turn + 1} of {rounds}: {name}, {mib} MiB")
            out.unlink(missing_ok=True)
            before, start = os.times(), time.perf_counter()
            command()
            seconds, after = time.perf_counter() - start, os.times()
            user, kernel = after.children_user - before.children_user, after.children_system - before.children_system
            runs[name].append(Run(seconds, user, kernel))
    return {name: sorted(of, key=lambda run: run.clock)[len(of) // 2] for name, of in runs.items()}


def keep_warm(ram, mib):
    """Memory for two more files of that size, at hand whenever a program wants it.

    A virtual machine gives free memory back to its host after a second or two, in blocks of megabytes, and what a program
    touches then costs more than all that is to be measured: one run found its memory and the next did not. So one page in each
    MiB is kept: what is free around it is too small to be given back, and the kernel uses small pieces first.
    """
    page, block = 4096, os.urandom(1 << 20)
    loose = ram / "loose"
    with open(loose, "wb", buffering=0) as around, open(ram / "kept", "wb", buffering=0) as kept:
        for _ in range(2 * mib + mib // 8):
            around.write(block[page:])
            kept.write(block[:page])
    loose.unlink()


def pipe_peak_mib(tool, source):
    """Peak resident memory of `cat FILE | keyfold encrypt - > /dev/null`."""
    note("memory on a pipe")
    cat = subprocess.Popen(["cat", source], stdout=subprocess.PIPE)
    command = [tool.program, "encrypt", "--key", "transit/payments", "-"]
    run = subprocess.Popen(command, env=tool.environment, stdin=cat.stdout, stdout=subprocess.DEVNULL)
    cat.stdout.close()
    _, status, usage = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    cat.wait()
    if run.returncode:
        raise RuntimeError(f"keyfold encrypt on a pipe ended with {run.returncode}")
    return usage.ru_maxrss / 1024


def many_files(tool, server, root, folder, count):
    """Encrypts `count` small files, rotates their key, rewraps them: seconds, bytes a file, the tool's report."""
    note(f"encrypting {count} files")
    folder.mkdir()

    def make(number):
        plain = folder / f"{number}.txt"
        plain.write_bytes(os.urandom(1024))
        tool.run("encrypt", "--key", "transit/payments", "-o", folder / f"{number}.kf", plain)
        plain.unlink()

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(make, range(count)))
    server.call("PUT", "/v1/transit/keys/payments/rotate", {}, root)
    note(f"rewrapping {count} files")
    os.sync()
    before, start = written(), time.perf_counter()
    said = tool.run("rewrap", folder)
    seconds, kernel = time.perf_counter() - start, written() - before
    return {
        "count": count,
        "seconds": seconds,
        "kernel_bytes": kernel / count,
        "report": re.sub(r"\x1b\[[0-9;]*[A-Za-z]|.*\r", "", said).replace(str(folder), "FOLDER").strip(),
        "again": again(tool, folder),
    }


def again(tool, folder):
    """A second rewrap finds nothing to do: seconds."""
    start = time.perf_counter()
    tool.run("rewrap", folder)
    return time.perf_counter() - start


def written():
    """Bytes that this process and its finished children gave to write calls, as the kernel counts."""
    with open("/proc/self/io") as counters:
        return next(int(line.split()[1]) for line in counters if line.startswith("wchar:"))


def fill(path, mib):
    """A file that does not compress, made quickly: one random MiB, turned a little each time."""
    block = bytearray(os.urandom(1 << 20))
    with open(path, "wb") as file:
        for number in range(mib):
            block[:8] = number.to_bytes(8, "big")
            file.write(block)


def note(text):
    print(text, flush=True)
