"""Three nodes on one store: revocations, and requests for each second of a processor."""

import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from cluster import clients, world
from measure import report

REVOCATIONS = 300
# Rounds with a node that stands still, and for how long requests are sent in each round of the other part.
CUTS, SECONDS, ROUNDS, ASKERS = 5, 4, 3, 6


def main():
    lines = [
        "## Several nodes\n\nThree nodes of Keyfold with TLS, and their store, on this machine; clients in Python. A revocation is "
        "acknowledged when no node takes the token any more. *One cut off*: a node was stopped (SIGSTOP) just before, with a "
        "lease of 1 s that still runs. Requests (transit encrypt) for each second of a processor that the nodes take, three of "
        "them asked at once beside one alone: medians of rounds in turn.\n",
        "| store | revocation, median | p99 | goal | one cut off, longest | goal | requests per CPU second, one node | three | times | goal |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind in world.STORES:
        with tempfile.TemporaryDirectory() as folder, world.running(kind, Path(folder)) as running:
            client = clients.Client(running, 1)
            taken = sorted(revoked(client, token(client)) for _ in range(REVOCATIONS))
            cut = max(cut_off(running, client) for _ in range(CUTS))
            rounds = [(rate(running, [0]), rate(running, range(world.NODES))) for _ in range(ROUNDS)]
            one, three = (sorted(rates)[ROUNDS // 2] for rates in zip(*rounds))
            lines.append(
                f"| {kind} | {taken[REVOCATIONS // 2]:.1f} ms | {taken[REVOCATIONS * 99 // 100]:.1f} ms | < 50 ms | {cut / 1000:.2f} s | < 2 s "
                f"| {one:,.0f} | {three:,.0f} | {three / one:.2f} | ≥ 0.90 |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    section = "\n".join(lines) + "\n\n" + report.machine(tempfile.gettempdir(), "bench/nodes.sh")
    print(section)
    if "--write" in sys.argv[1:]:
        report.write(section)


def token(client):
    event, made = client.ask("token", "POST", "auth/token/create", {"policies": ["default"]})
    assert event.done, event
    return made["client_token"]


def revoked(client, token, node=None):
    """Milliseconds until it is acknowledged."""
    event, _ = client.ask("revoke", "POST", "auth/token/revoke", {"token": token}, node=node)
    assert event.done, event
    return (event.end - event.start) * 1000


def cut_off(running, client):
    last = world.NODES - 1
    made, process = token(client), running.nodes[last].process
    process.send_signal(signal.SIGSTOP)
    try:
        return revoked(client, made, node=0)
    finally:
        process.send_signal(signal.SIGCONT)
        time.sleep(3)


def rate(running, nodes):
    """Requests that these nodes answer for each second of a processor that they take."""
    over, counts = threading.Event(), [0] * ASKERS

    def ask(number):
        client, node = clients.Client(running, number), list(nodes)[number % len(nodes)]
        while not over.is_set():
            event, _ = client.ask("encrypt", "POST", "transit/encrypt/k", {"plaintext": "AAAA"}, node=node)
            assert event.done, event
            counts[number] += 1

    before = sum(used(running.nodes[node].process.pid) for node in nodes)
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(ASKERS)]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    over.set()
    for thread in threads:
        thread.join()
    return sum(counts) / (sum(used(running.nodes[node].process.pid) for node in nodes) - before)


def used(pid):
    """Seconds of a processor that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


main()
