"""One round of wrk against one process."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

LUA = Path(__file__).resolve().parents[1] / "wrk"
CONNECTIONS = 32


@dataclass
class Round:
    """What one round showed."""

    per_second: float
    p99_us: float
    cpu_us: float


def run(process, path, seconds, script="fixed", connections=CONNECTIONS, **settings):
    """Drives `process` for some seconds. A single failed request fails the run: a fast error is no result."""
    environment = dict(os.environ, BENCH_LUA=str(LUA))
    body = settings.pop("body", None)
    environment |= {f"BENCH_{name.upper()}": value for name, value in settings.items() if value}
    command = ["wrk", f"-t{threads()}", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["-s", str(LUA / f"{script}.lua"), f"{process.scheme}://127.0.0.1:{process.port}{path}"]
    with tempfile.NamedTemporaryFile("w", prefix="bench-body-") as file:
        if body:
            # A variable of the environment holds 128 KiB at most.
            file.write(body)
            file.flush()
            environment["BENCH_BODY_FILE"] = file.name
        return counted(process, path, command, environment)


def counted(process, path, command, environment):
    before = process.cpu_seconds()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    used = process.cpu_seconds() - before
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    requests, duration, p99, refused, broken = map(int, line.split()[1:])
    if refused or broken or not requests:
        raise RuntimeError(f"{path}: {refused} failed answers, {broken} failed connections of {requests}")
    return Round(requests / duration * 1e6, p99, used / requests * 1e6)


def middle(rounds):
    """The median of each figure."""
    return Round(*(median(getattr(r, name) for r in rounds) for name in ("per_second", "p99_us", "cpu_us")))


def threads():
    return max(1, min(2, os.cpu_count() or 1))
