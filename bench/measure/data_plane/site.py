"""Where the parts run: a server with a key, the programs, and the room on the RAM disk."""

import json
import os
import signal
import subprocess
import sys
import time

KEY = "transit/payments"
# Memory that is left to the programs themselves.
SPARE = 2 << 30


class Site:
    """A server with a key, and the programs, pointed at it."""

    def __init__(self, programs, server, root, home):
        self.programs, self.server = programs, server
        self.token = root
        self.keyfold = str(programs / "keyfold")
        self.environment = dict(
            os.environ, VAULT_ADDR=f"http://127.0.0.1:{server.port}", VAULT_TOKEN=root, HOME=str(home)
        )
        self.call("PUT", "sys/mounts/transit", {"type": "transit"})
        self.call("PUT", key_path(KEY), {})
        # What is interrupted removes its files, too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def call(self, method, path, body=None):
        return self.server.call(method, f"/v1/{path}", body, self.token)

    def rotate(self, key=KEY):
        self.call("PUT", f"{key_path(key)}/rotate", {})

    def run(self, *arguments, **more):
        """What a command of keyfold's prints; an error where it does not succeed."""
        command = [self.keyfold, *map(str, arguments)]
        environment = self.environment | more.pop("variables", {})
        done = subprocess.run(command, env=environment, capture_output=True, text=True, **more)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-400:]}")
        return done.stdout

    def timed(self, *arguments, **more):
        """Seconds, and what the command reports as JSON."""
        start = time.perf_counter()
        said = self.run(*arguments, "-format=json", **more)
        return time.perf_counter() - start, json.loads(said)

    def example(self, name, *arguments):
        """What an example of the library prints."""
        command = [str(part) for part in (self.programs / "examples" / name, *arguments)]
        done = subprocess.run(command, env=self.environment, check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.rstrip()


def key_path(key):
    mount, name = key.rsplit("/", 1)
    return f"{mount}/keys/{name}"


def lacking(disk, room):
    """What is wrong with the room on the RAM disk, where it is not enough."""
    status = os.statvfs(disk)
    free = status.f_bavail * status.f_frsize
    kind = subprocess.run(["stat", "-f", "-c", "%T", disk], capture_output=True, text=True).stdout.strip()
    if kind == "tmpfs":
        with open("/proc/meminfo") as info:
            available = next(int(line.split()[1]) << 10 for line in info if line.startswith("MemAvailable"))
        free = min(free, available - SPARE)
    if room > free:
        return f"it wants {room / 2**30:.1f} GiB in {disk}, and {max(free, 0) / 2**30:.1f} are free (see the variables)"
    return None


def number(variable, whole, quick, is_quick):
    """How many: what the variable says, else the whole number, or the small one of a trial."""
    return int(os.environ.get(variable, quick if is_quick else whole))


def verdict(value, goal):
    """A goal beside what was measured, and whether it is met."""
    return f"≥ {goal:,.0f}" if value >= goal else f"≥ {goal:,.0f}: missed"


def note(text):
    print(text, flush=True)
