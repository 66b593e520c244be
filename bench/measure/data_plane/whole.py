"""One large file: encryption and decryption beside age and cp on a RAM disk, and through a pipe."""

import hashlib
import os
import subprocess
import time
from dataclasses import dataclass

from measure.data_plane import site

KEYFOLD = "keyfold encrypt", "keyfold decrypt"
# Bytes of the pipe's readers.
PIECE = 4 << 20


class File:
    """From file to file."""

    def __init__(self, quick):
        self.mib = site.number("BENCH_MIB", 4096, 64, quick)
        self.rounds = 1 if quick else 7
        # The source, two envelopes and what is written; before that, the source and what makes memory warm.
        self.room = self.mib * 17 // 4 << 20

    def measure(self, here, ram):
        source = ram / "source"
        fill(source, self.mib)
        keep_warm(ram, self.mib)
        runs = self.programs(here, ram, source)
        return self.table(runs)

    def programs(self, here, ram, source):
        """The run of each program, by name."""
        out, sealed, aged = ram / "out", ram / "sealed.kf", ram / "sealed.age"
        identity = ram / "identity"
        subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
        told = subprocess.run(["age-keygen", "-y", identity], check=True, capture_output=True, text=True)
        recipient = told.stdout.strip()
        writing = {
            "cp": lambda: run("cp", source, out),
            "age": lambda: run("age", "-r", recipient, "-o", out, source),
            KEYFOLD[0]: lambda: here.run("encrypt", "--key", site.KEY, "-o", out, source),
        }
        runs = timed(writing, out, self.mib, self.rounds)
        out.rename(sealed)
        run("age", "-r", recipient, "-o", aged, source)
        wanted = checksum(source)
        reading = {
            "cp of the envelope": lambda: run("cp", sealed, out),
            "age -d": lambda: run("age", "-d", "-i", identity, "-o", out, aged),
            KEYFOLD[1]: lambda: here.run("decrypt", "-o", out, sealed),
        }
        same = {"age -d", KEYFOLD[1]}
        runs |= timed(reading, out, self.mib, self.rounds, lambda name: name not in same or checksum(out) == wanted)
        return runs

    def table(self, runs):
        lines = [
            f"## A large file\n\n{self.mib:,} MiB that do not compress, from file to file on a RAM disk, medians of {self.rounds} "
            "interleaved rounds; the disk's memory was touched before and is kept from the host, which makes its first touch slow. "
            "What is decrypted has the checksum of the source.\n",
            "| program | seconds | of a processor, outside the kernel + in it | GiB/s | times age | of cp |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for names in (["cp", "age", KEYFOLD[0]], ["cp of the envelope", "age -d", KEYFOLD[1]]):
            cp, age = runs[names[0]].clock, runs[names[1]].clock
            for name in names:
                of, ratios = runs[name], (age / runs[name].clock, cp / runs[name].clock)
                lines.append(
                    f"| {name} | {of.clock:.2f} | {of.user:.1f} + {of.kernel:.1f} | {self.mib / 1024 / of.clock:.2f} "
                    f"| {ratios[0]:.2f} | {ratios[1]:.2f} |"
                )
        return "\n".join([*lines, "\nGoals: 3 times age and 0.85 of cp, both ways.\n"])


class Pipe:
    """Through a pipe."""

    def __init__(self, quick):
        self.mib = site.number("BENCH_MIB", 4096, 64, quick)
        self.rounds = 1 if quick else 7
        self.room = self.mib * 2 + 64 << 20

    def measure(self, here, ram):
        source, sealed = ram / "source", ram / "sealed.kf"
        fill(source, self.mib)
        lines = [
            f"## A pipe\n\n`cat FILE | keyfold … - > /dev/null`, {self.mib:,} MiB on a RAM disk, medians of {self.rounds} rounds; `cat` "
            "runs on the same cores. What comes out of both, one behind the other, has the checksum of the source.\n",
            "| command | GB/s | goal | peak resident memory | goal |",
            "|---|--:|--:|--:|--:|",
        ]
        encrypt, decrypt = ["encrypt", "--key", site.KEY, "-"], ["decrypt", "-"]
        with open(source, "rb") as plain, open(sealed, "wb") as out:
            subprocess.run([here.keyfold, *encrypt], env=here.environment, stdin=plain, stdout=out, check=True)
        self.compare(here, decrypt, sealed, source)
        for arguments, file in ((encrypt, source), (decrypt, sealed)):
            rounds = []
            for turn in range(self.rounds):
                site.note(f"round {turn + 1} of {self.rounds}: keyfold {arguments[0]} on a pipe, {self.mib} MiB")
                rounds.append(piped(here, arguments, file))
            seconds = sorted(seconds for seconds, _ in rounds)[len(rounds) // 2]
            peak, rate = max(peak for _, peak in rounds), self.mib * (1 << 20) / 1e9 / seconds
            lines.append(f"| keyfold {arguments[0]} | {rate:.2f} | ≥ 2 | {peak:.1f} MiB | < 64 MiB |")
        return "\n".join(lines) + "\n"

    def compare(self, here, decrypt, sealed, source):
        with open(sealed, "rb") as file:
            opened = subprocess.Popen([here.keyfold, *decrypt], env=here.environment, stdin=file, stdout=subprocess.PIPE)
            found = digest(opened.stdout)
        if opened.wait() or found != checksum(source):
            raise RuntimeError("what came out of the pipe differs from the source")


def piped(here, arguments, file):
    """Seconds of `cat FILE | keyfold …`, and its peak resident memory in MiB."""
    start = time.perf_counter()
    cat = subprocess.Popen(["cat", file], stdout=subprocess.PIPE)
    command = [here.keyfold, *arguments]
    run = subprocess.Popen(command, env=here.environment, stdin=cat.stdout, stdout=subprocess.DEVNULL)
    cat.stdout.close()
    _, status, usage = os.wait4(run.pid, 0)
    seconds = time.perf_counter() - start
    run.returncode = os.waitstatus_to_exitcode(status)
    if run.returncode or cat.wait():
        raise RuntimeError(f"keyfold {arguments[0]} on a pipe ended with {run.returncode}")
    return seconds, usage.ru_maxrss / 1024


@dataclass
class Run:
    """Seconds of one run: by the clock, and of the processors, outside the kernel and in it."""

    clock: float
    user: float
    kernel: float


def timed(commands, out, mib, rounds, good=lambda name: True):
    """The run of each command that took a median time, of interleaved rounds; what the last one wrote stays."""
    runs = {name: [] for name in commands}
    for turn in range(rounds):
        for name, command in commands.items():
            site.note(f"round {turn + 1} of {rounds}: {name}, {mib} MiB")
            out.unlink(missing_ok=True)
            before, start = os.times(), time.perf_counter()
            command()
            seconds, after = time.perf_counter() - start, os.times()
            user, kernel = after.children_user - before.children_user, after.children_system - before.children_system
            runs[name].append(Run(seconds, user, kernel))
            if turn == 0 and not good(name):
                raise RuntimeError(f"what {name} wrote differs from the source")
    return {name: sorted(of, key=lambda run: run.clock)[len(of) // 2] for name, of in runs.items()}


def keep_warm(ram, mib):
    """Memory for three more files of that size, at hand whenever a program wants it.

    A virtual machine gives free memory back to its host after a second or two, in blocks of megabytes, and what a program
    touches then costs more than all that is to be measured: one run found its memory and the next did not. So one page in each
    MiB is kept: what is free around it is too small to be given back, and the kernel uses small pieces first.
    """
    page, block = 4096, os.urandom(1 << 20)
    loose = ram / "loose"
    with open(loose, "wb", buffering=0) as around, open(ram / "kept", "wb", buffering=0) as kept:
        for _ in range(3 * mib + mib // 8):
            around.write(block[page:])
            kept.write(block[:page])
    loose.unlink()


def fill(path, mib):
    """A file that does not compress, made quickly: one random MiB, turned a little each time."""
    block = bytearray(os.urandom(1 << 20))
    with open(path, "wb") as file:
        for number in range(mib):
            block[:8] = number.to_bytes(8, "big")
            file.write(block)


def checksum(path):
    with open(path, "rb") as file:
        return digest(file)


def digest(file):
    sum = hashlib.sha256()
    while piece := file.read(PIECE):
        sum.update(piece)
    return sum.digest()


def run(*command):
    subprocess.run(command, check=True)
