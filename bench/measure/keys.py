"""The life of the keys: what a rotation and an unseal cost with much data and with little, and what readers notice."""

import contextlib
import json
import os
import threading
import time
from statistics import median

from measure import load, process

MOUNTS = 200
RECORDS = int(os.environ.get("BENCH_RECORDS", 1_000_000))
TOKENS = int(os.environ.get("BENCH_TOKENS", 1_000_000))
# What is little.
FEW = 1_000
READ = "/v1/m0/few-0-1"
POLICY = 'path "m0/*" { capabilities = ["read"] }'


def measure(programs, folder, quick):
    """Returns the tables as text."""
    mounts, records, tokens = (20, 20_000, 5_000) if quick else (MOUNTS, RECORDS, TOKENS)
    few = FEW // 5 if quick else FEW
    turns = 5 if quick else 25
    with contextlib.ExitStack() as stack:
        start = lambda name: stack.enter_context(process.keyfold(programs["keyfold"], folder / name))
        little, much = start("little"), start("much")
        for (server, root), wanted in (little, (few, few)), (much, (records, tokens)):
            fill(server, root, mounts, wanted)
        rotations, written = rotate(little, much, turns)
        unseals = unseal(little[0], much[0], turns)
        server, root = much
        reads = readers(server, root, 2 if quick else 10)
    return "\n".join([lives(mounts, records, tokens, few, rotations, unseals, written), noticed(reads)])


def fill(server, root, mounts, wanted):
    """Mounts with records of KV version 1 in each, and tokens."""
    records, tokens = wanted
    for n in range(mounts):
        server.call("PUT", f"/v1/sys/mounts/m{n}", {"type": "kv"}, root)
        for at in range(1, records // mounts // 10 + 2):
            server.call("PUT", f"/v1/m{n}/few-0-{at}", {"password": "x"}, root)
    count = mounts * (records // mounts // 10 + 1)
    turn = 0
    while records - count > FEW:
        prefix = f"/v1/m{turn % mounts}/many-{turn}-"
        done = load.run(server, "/", 1, "unique", token=root, body='{"password":"x"}', prefix=prefix)
        count += int(done.per_second)
        turn += 1
    for at in range(count, records):
        server.call("PUT", f"/v1/m{at % mounts}/one-{at}", {"password": "x"}, root)
    body = {"policies": ["default"], "ttl": "24h"}
    made = 0
    while tokens - made > FEW:
        path = "/v1/auth/token/create"
        done = load.run(server, path, 1, token=root, method="POST", body=json.dumps(body))
        made += int(done.per_second)
    for _ in range(made, tokens):
        server.call("PUT", "/v1/auth/token/create", body, root)
    print(f"{max(count, records):,} records, {max(made, tokens):,} tokens", flush=True)


def timed(call):
    start = time.monotonic()
    call()
    return time.monotonic() - start


def rotate(little, much, turns):
    """Seconds of each rotation on both servers, in turns; commits and bytes that one of the larger one wrote."""
    seconds = ([], [])
    once = lambda server, root: server.call("PUT", "/v1/sys/rotate", {}, root)
    server, root = much
    before = commits(server, root), server.written_bytes()
    once(server, root)
    written = commits(server, root) - before[0], server.written_bytes() - before[1]
    for _ in range(turns):
        for times, target in zip(seconds, (little, much)):
            times.append(timed(lambda: once(*target)))
    return seconds, written


def commits(server, root):
    """Commits of the store so far."""
    text = server.text("/v1/sys/metrics?format=prometheus", root)
    lines = (line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("vault_storage_operations_total"))
    return sum(int(float(value)) for name, value in lines if "commit" in name)


def unseal(little, much, turns):
    """Seconds of each unseal on both servers, in turns."""
    seconds = ([], [])
    for _ in range(turns):
        for times, server in zip(seconds, (little, much)):
            server.call("PUT", "/v1/sys/seal", {}, server.root)
            times.append(timed(lambda: server.call("PUT", "/v1/sys/unseal", {"key": server.share})))
    return seconds


def operations(server, root):
    """Operations by name: each does one, and ends when it is done."""

    def rotate_dek(stop):
        path = "/v1/sys/mounts/m0/rotate-dek"
        server.call("PUT", path, {"rate": 100_000}, root)
        while not stop.is_set() and server.call("GET", path, token=root)["data"]["state"] != "done":
            time.sleep(0.05)

    def rekey(_):
        nonce = server.call("PUT", "/v1/sys/rekey/init", {"secret_shares": 1, "secret_threshold": 1})["nonce"]
        done = server.call("PUT", "/v1/sys/rekey/update", {"key": server.share, "nonce": nonce})
        server.share = done["keys"][0]

    return {
        "rotate": lambda _: server.call("PUT", "/v1/sys/rotate", {}, root),
        "rotate-dek": rotate_dek,
        "rekey": rekey,
        "snapshot": lambda _: server.send("GET", "/v1/sys/storage/raft/snapshot", None, root),
    }


def readers(server, root, seconds):
    """The 99th percentile of reads, quiet and while each operation is made again and again, by its name."""
    server.call("PUT", "/v1/sys/policies/acl/reader", {"policy": POLICY}, root)
    made = server.call("PUT", "/v1/auth/token/create", {"policies": ["reader"]}, root)
    token = made["auth"]["client_token"]
    read = lambda: load.run(server, READ, seconds, token=token).p99_us
    read()
    found = {}
    for name, operation in operations(server, root).items():
        quiet = read()
        stop = threading.Event()
        failures = []
        worker = threading.Thread(target=repeat, args=(operation, stop, failures))
        worker.start()
        try:
            during = read()
        finally:
            stop.set()
            worker.join()
        if failures:
            raise failures[0]
        found[name] = median([quiet, read()]), during
    return found


def repeat(operation, stop, failures):
    try:
        while not stop.is_set():
            operation(stop)
            time.sleep(0.05)
    except Exception as error:  # told by the thread that waits
        failures.append(error)


def lives(mounts, records, tokens, few, rotations, unseals, written):
    row = lambda what, times, goal: (
        f"| {what} | {median(times[0]) * 1000:.1f} ms | {median(times[1]) * 1000:.1f} ms "
        f"| {median(times[1]) / median(times[0]):.2f} | {goal} |"
    )
    return "\n".join(
        [
            f"## The life of the keys\n\n{mounts} mounts on each of two servers, medians of turns.\n",
            f"| operation | {few:,} records and tokens | {records:,} records, {tokens:,} tokens | ratio | goal |",
            "|---|--:|--:|--:|---|",
            row("rotate the KEK", rotations, "under 1 s, ratio under 1.3"),
            row("unseal", unseals, "under 1 s, ratio under 1.5"),
            f"\nA rotation of the KEK wrote {written[0]} commit of the wrapped DEKs and no record: "
            f"{written[1] / 1024:,.0f} KiB by the kernel's count.\n",
        ]
    )


def noticed(reads):
    lines = [
        "| KV reads while it is made again and again | p99 quiet | p99 during | times | goal |",
        "|---|--:|--:|--:|---|",
    ]
    for name, (quiet, during) in reads.items():
        lines.append(f"| {name} | {quiet / 1000:.2f} ms | {during / 1000:.2f} ms | {during / quiet:.1f} | at most 3 |")
    return "\n".join(lines) + "\n"
