"""A folder of a million secrets: taken over from KV version 1, then listed page by page."""

import os
import time
from statistics import median

from measure import load, process

SECRETS = int(os.environ.get("BENCH_SECRETS", 1_000_000))
PAGE = 1_000
BUSY = "Upgrading from non-versioned to versioned data"


def measure(programs, folder, quick):
    """Returns the table as text."""
    wanted = 20_000 if quick else SECRETS
    with process.keyfold(programs["keyfold"], folder / "lists") as (server, root):
        server.call("PUT", "/v1/sys/mounts/many", {"type": "kv"}, root)
        fill(server, root, wanted)
        seconds = take_over(server, root)
        before = server.resident_mib()
        names, times, most = walk(server, root)
        if names < wanted:
            raise RuntimeError(f"{wanted} secrets were written and {names} are listed")
    return "\n".join(
        [
            f"## A folder of {names:,} secrets\n",
            "| what | figure |",
            "|---|--:|",
            f"| taken over from KV version 1 to 2 | {names / seconds:,.0f} secrets/s |",
            f"| a page of {PAGE:,} names, median | {median(times) * 1000:.2f} ms |",
            f"| the first ten pages, the last ten | {median(times[:10]) * 1000:.2f} ms, "
            f"{median(times[-10:]) * 1000:.2f} ms |",
            f"| resident memory before the walk, at most during it | {before:.1f} MiB, {most:.1f} MiB |\n",
        ]
    )


def fill(server, root, wanted):
    """Writes secrets of version 1 into one folder until there are enough."""
    seconds, count, turn = 5, 0, 0
    while count < wanted:
        prefix = f"/v1/many/folder/{turn}-"
        done = load.run(server, "/", seconds, "unique", token=root, body='{"password":"x"}', prefix=prefix)
        # A little fewer than the figure says: what was under way when the round ended may not count.
        count += int(done.per_second * seconds * 0.95)
        turn += 1
        print(f"{min(count, wanted):,} of {wanted:,} secrets", flush=True)


def take_over(server, root):
    """Seconds from the change of the mount's version until it answers again."""
    start = time.monotonic()
    server.call("PUT", "/v1/sys/mounts/many/tune", {"options": {"version": "2"}}, root)
    while True:
        try:
            server.call("LIST", "/v1/many/metadata/folder?limit=1", token=root)
            return time.monotonic() - start
        except RuntimeError as error:
            if BUSY not in str(error):
                raise


def walk(server, root):
    """How many names there are, seconds of each page, and the most memory seen."""
    after, names, times, most = "", 0, [], 0
    while True:
        start = time.monotonic()
        try:
            page = server.call("LIST", f"/v1/many/metadata/folder?limit={PAGE}&after={after}", token=root)
        except RuntimeError as error:
            if "answered 404" in str(error):
                return names, times, most
            raise
        times.append(time.monotonic() - start)
        most = max(most, server.resident_mib())
        keys = page["data"]["keys"]
        names += len(keys)
        if len(keys) < PAGE:
            return names, times, most
        after = keys[-1]
