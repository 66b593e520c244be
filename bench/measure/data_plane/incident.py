"""The commands of the runbook of a compromised key, as they stand there, with what they print."""

import re
import subprocess
import time
from pathlib import Path

from measure import process
from measure.data_plane import site
from measure.data_plane.rotation import make

PAGE = Path(__file__).resolve().parents[3] / "docs" / "runbooks" / "compromised-key.md"
# Lines of a command's answer that are kept.
LINES = 24


class Incident:
    """Envelopes and a keyring under a version that somebody else may have."""

    def __init__(self, quick):
        self.count = site.number("BENCH_INCIDENT", 10_000, 50, quick)
        self.room = self.count * (160 << 10)

    def measure(self, here, ram):
        # A server of its own: on the page it is the first version that is compromised.
        with process.keyfold(here.programs / "keyfold", ram / "server") as (server, root):
            own = site.Site(here.programs, server, root, ram)
            make(own, ram / "data", self.count, 64 << 10)
            own.run("keyring", "create", f"-key={site.KEY}", "-store=payments.keyring", "payments", cwd=ram)
            said = [self.typed(own, command, ram) for block in blocks() for command in block.splitlines()]
        return "\n".join([
            f"## A compromised key\n\nThe commands of [the runbook](runbooks/compromised-key.md), as they stand there, on "
            f"{self.count:,} envelopes of 64 KiB and a keyring under the first version of a key, on a RAM disk. Cut after {LINES} lines "
            "each.\n",
            "```text", *said, "```\n",
        ])

    def typed(self, here, command, folder):
        site.note(command)
        if "retire" in command:
            # The rewrap was a use of the version, and the page says how old one has to be.
            time.sleep(3)
        path = f"{here.programs}:/usr/bin:/bin"
        start = time.perf_counter()
        done = subprocess.run(
            ["sh", "-eu", "-c", command], env=here.environment | {"PATH": path}, cwd=folder, capture_output=True, text=True, check=True
        )
        took = time.perf_counter() - start
        lines = (done.stderr + done.stdout).replace(str(folder), "").rstrip().splitlines()
        more = [f"… {len(lines) - LINES} more lines"] if len(lines) > LINES else []
        return "\n".join([f"$ {command}", *lines[:LINES], *more, f"[{took:.2f} s]", ""])


def blocks():
    return re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), flags=re.M | re.S)
