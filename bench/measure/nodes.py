"""Several nodes on one store: revocations, requests for each second of a processor, KV writes beside pgbench."""

import argparse
import signal
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from cluster import clients, world
from measure import load, process, report, writes

# Connections to each node, alone or not.
CONNECTIONS = 12
ENCRYPT = {"method": "POST", "body": '{"plaintext": "AAAA"}'}


@dataclass
class Extent:
    """How much is measured: revocations, rounds with a node that stands still, rounds of requests and their seconds, and
    seconds without any."""

    revocations: int = 300
    cuts: int = 5
    rounds: int = 5
    seconds: int = 4
    idle: int = 20


QUICK = Extent(revocations=20, cuts=1, rounds=1, seconds=1, idle=2)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--quick", action="store_true")
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--only", choices=["nodes", "writes"])
    chosen = arguments.parse_args()
    sections = []
    if chosen.only != "writes":
        sections.append(nodes(QUICK if chosen.quick else Extent()))
    if chosen.only != "nodes":
        with tempfile.TemporaryDirectory() as folder:
            sections.append(writes.measure(Path(folder), chosen.quick))
    sections = [section + "\n" + report.machine(tempfile.gettempdir(), "bench/nodes.sh") for section in sections]
    print("\n".join(sections))
    if chosen.write:
        report.write(*sections)


def nodes(extent):
    """The section about three nodes."""
    lines = [
        "## Several nodes\n\nThree nodes of Keyfold with TLS, and their store, on this machine. A revocation, by a client in Python, is "
        "acknowledged when no node takes the token any more. *One cut off*: a node was stopped (SIGSTOP) just before, with a "
        f"lease of 1 s that still runs. Requests (transit encrypt, wrk, keep-alive, {CONNECTIONS} connections to each node) for each "
        "second of a processor that the nodes take, three of them asked at once beside one alone: medians of "
        f"{extent.rounds} rounds in turn. *Idle*: milliseconds of a processor that a node takes each second while nobody asks.\n",
        "| store | revocation, median | p99 | goal | one cut off, longest | goal | requests per CPU second, one node | three | times "
        "| goal | idle |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for kind in world.STORES:
        with tempfile.TemporaryDirectory() as folder, world.running(kind, Path(folder)) as running:
            client = clients.Client(running, 1)
            taken = sorted(revoked(client, token(client)) for _ in range(extent.revocations))
            cut = max(cut_off(running, client) for _ in range(extent.cuts))
            servers = [process.Process(node.process, node.port, "https") for node in running.nodes]
            asking = token(client, "encrypting")
            rounds = [(rate(servers[:1], asking, extent), rate(servers, asking, extent)) for _ in range(extent.rounds)]
            one, three = (median(rates) for rates in zip(*rounds))
            lines.append(
                f"| {kind} | {median(taken):.1f} ms | {taken[len(taken) * 99 // 100]:.1f} ms | < 50 ms | {cut / 1000:.2f} s | < 2 s "
                f"| {one:,.0f} | {three:,.0f} | {three / one:.2f} | ≥ 0.90 | {idle(servers, extent.idle):.1f} ms/s |"
            )
            print(lines[-1], file=sys.stderr, flush=True)
    return "\n".join(lines) + "\n"


def token(client, policy="default"):
    if policy != "default":
        rules = 'path "transit/encrypt/k" { capabilities = ["update"] }'
        event, _ = client.ask("policy", "POST", f"sys/policies/acl/{policy}", {"policy": rules})
        assert event.done, event
    event, made = client.ask("token", "POST", "auth/token/create", {"policies": [policy]})
    assert event.done, event
    return made["client_token"]


def revoked(client, token, node=None):
    """Milliseconds until it is acknowledged."""
    event, _ = client.ask("revoke", "POST", "auth/token/revoke", {"token": token}, node=node)
    assert event.done, event
    return (event.end - event.start) * 1000


def cut_off(running, client):
    last = world.NODES - 1
    made, frozen = token(client), running.nodes[last].process
    frozen.send_signal(signal.SIGSTOP)
    try:
        return revoked(client, made, node=0)
    finally:
        frozen.send_signal(signal.SIGCONT)
        time.sleep(3)


def rate(servers, token, extent):
    """Requests that these nodes, all asked at once, answer for each second of a processor that they take."""

    def ask(server):
        return load.run(server, "/v1/transit/encrypt/k", extent.seconds, connections=CONNECTIONS, token=token, **ENCRYPT)

    with ThreadPoolExecutor(len(servers)) as at_once:
        rounds = list(at_once.map(ask, servers))
    return sum(r.per_second for r in rounds) / sum(r.per_second * r.cpu_us for r in rounds) * 1e6


def idle(servers, seconds):
    """Milliseconds of a processor that a node takes each second while nobody asks it anything."""
    # What the requests before have left to do.
    time.sleep(2)
    before, began = sum(server.cpu_seconds() for server in servers), time.monotonic()
    time.sleep(seconds)
    used = sum(server.cpu_seconds() for server in servers) - before
    return used / (time.monotonic() - began) / len(servers) * 1000


main()
