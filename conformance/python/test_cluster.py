"""Three nodes on one store while nodes, store and network go wrong (tests/cluster), and its checker and its faults by themselves."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests

TESTS = Path(__file__).parents[2] / "tests"
sys.path.insert(0, str(TESTS))

from cluster import checks, clock, world  # noqa: E402
from cluster.clients import USES, Client, Event  # noqa: E402

CIPHERTEXT = "vault:v{}:" + "A" * 60


def event(what, start, end, done=True, **told):
    return Event(what, start, end, done, {"node": 0, **told})


def register(what, start, end, version, value, done=True):
    return event(what, start, end, done, register="r", version=version, value=value)


GOOD = [
    register("write", 0, 1, 1, "a"),
    register("read", 0.5, 3, 0, None),
    register("read", 2, 3, 1, "a"),
    register("write", 3, 4, 2, "b", None),
    register("read", 5, 6, 2, "b"),
    register("write", 5, 6, 2, "c", False),
    event("add", 0, 1, set="s", element="a"),
    event("add", 2, 4, None, set="s", element="b"),
    event("list", 0.5, 3, set="s", elements=[]),
    event("list", 2, 3, set="s", elements=["a", "b"]),
    event("list", 5, 6, set="s", elements=["a"]),
    event("forbid", 1, 2, policy="p"),
    event("allowed", 1.5, 3, policy="p"),
    event("allowed", 3, 4, False, policy="p"),
    event("put", 0, 1, mount="m", entry="m/1"),
    event("unmount", 1, 2, mount="m"),
    event("put", 3, 4, False, mount="m", entry="m/1"),
    event("revoke", 1, 2, of="t"),
    event("use", 1.5, 1.8, of="t"),
    event("use", 3, 4, False, of="t"),
    *(event("count", at, at + 1, of="u") for at in range(USES)),
    event("encrypt", 0, 1, ciphertext=CIPHERTEXT.format(1)),
    event("versions", 1, 2, newest=2),
    event("encrypt", 1.5, 3, ciphertext=CIPHERTEXT.format(2)),
    event("retire", 4, 5, below=2),
    event("decrypt", 4.5, 5.5, ciphertext=CIPHERTEXT.format(1)),
    event("decrypt", 6, 7, False, ciphertext=CIPHERTEXT.format(1)),
]
BAD = {
    "an update is lost": register("write", 1, 2, 1, "d"),
    "read version 0 after version 1": register("read", 1.5, 2, 0, None),
    "made version 1 after": register("write", 5, 6, 1, "a"),
    "a value that nobody wrote": register("read", 2, 3, 1, "x"),
    "does not list 1 that were there": event("list", 1.5, 2, set="s", elements=[]),
    "lists 1 that nobody put": event("list", 1.5, 1.8, set="s", elements=["a", "b"]),
    "had forbidden": event("allowed", 2.5, 3, policy="p"),
    "a mount that had gone": event("put", 2.5, 3, mount="m", entry="m/1"),
    "took a token": event("use", 2.5, 3, of="t"),
    "was used 9 times": event("count", 9, 10, of="u"),
    "encrypted by version 1 after": event("encrypt", 2.5, 3, ciphertext="vault:v1:" + "B" * 60),
    "decrypted version 1 after": event("decrypt", 5.5, 6, ciphertext=CIPHERTEXT.format(1)),
    "a nonce of version 2": event("encrypt", 3, 4, ciphertext=CIPHERTEXT.format(2)),
}


def wrong(history):
    history = sorted(history, key=lambda event: event.start)
    return [text for check in checks.ALL for text in check(history)]


def test_a_history_that_is_as_promised_has_nothing_wrong():
    assert wrong(GOOD) == []


@pytest.mark.parametrize("text", BAD)
def test_one_answer_that_breaks_a_promise_is_found(text):
    found = wrong([*GOOD, BAD[text]])
    assert any(text in one for one in found), found


def cluster(*arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(Path(__file__).parent)])}
    command = [sys.executable, "-m", "cluster", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize("store", ["postgresql", "etcd"])
def test_nothing_that_was_acknowledged_is_lost_and_nothing_revoked_works(store):
    done = cluster("--seconds=15", store)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("arguments, text", [
    (["--faults=sever", "etcd"], "etcd: no fault sever"),
    (["--faults=kill,flood", "postgresql"], "postgresql: no fault flood"),
    (["--faults=kill_member", "etcd", "postgresql"], "postgresql: no fault kill_member: the store has one member"),
])
def test_a_fault_that_cannot_be_had_is_an_error(arguments, text):
    done = cluster(*arguments)
    assert done.returncode == 2 and text in done.stderr, done.stdout + done.stderr


@pytest.mark.skipif(clock.reason() is not None, reason=str(clock.reason()))
def test_a_clock_that_is_skewed_is_that_of_one_process(tmp_path):
    with world.running("postgresql", tmp_path) as running:

        def ahead():
            """How far each clock is before that of the test: the nodes', then the store's."""
            for node in range(world.NODES):
                health = requests.get(f"{running.url(node)}/sys/health", verify=running.verify).json()
                yield health["server_time_utc"] - time.time()
            yield float(running.store.running.sql("SELECT extract(epoch FROM clock_timestamp())")) - time.time()

        clocks = [*(node.clock for node in running.nodes), running.store.clock]
        for which, skewed in enumerate(clocks):
            for seconds in (37, -20, 600):
                skewed.put(seconds)
                wanted = [seconds if number == which else 0 for number in range(len(clocks))]
                # The health has whole seconds, and the machine may be slow.
                assert [*ahead()] == pytest.approx(wanted, abs=8)
            skewed.put(0)


@pytest.mark.parametrize("signals", [(signal.SIGKILL, None), (signal.SIGSTOP, signal.SIGCONT)])
def test_all_nodes_go_on_while_one_member_of_three_is_gone(signals, tmp_path):
    gone, back = signals
    with world.running("etcd", tmp_path) as running:
        client = Client(running, 1)
        for number, member in enumerate(running.store.members):
            member.process.send_signal(gone)
            for node in range(world.NODES):
                until = time.monotonic() + 60
                event, _ = client.ask("rotate", "POST", "transit/keys/k/rotate", {}, node=node)
                while not event.done:
                    assert time.monotonic() < until, (number, node, event)
                    event, _ = client.ask("rotate", "POST", "transit/keys/k/rotate", {}, node=node)
            if back:
                member.process.send_signal(back)
            else:
                member.stop()
                running.store.running.start(member)
            running.store.settle()


@pytest.mark.parametrize("store", ["postgresql", "etcd"])
def test_transit_asks_the_store_nothing_once_a_node_knows_token_and_key(store, tmp_path):
    with world.running(store, tmp_path) as running:
        client = Client(running, 1)

        def operations(node):
            asked = {"headers": running.token, "verify": running.verify, "params": {"format": "prometheus"}}
            text = requests.get(f"{running.url(node)}/sys/metrics", **asked).text
            lines = [line for line in text.splitlines() if line.startswith("vault_storage_operations_total{")]
            assert len(lines) == 3, text
            return sum(float(line.split()[-1]) for line in lines)

        def encrypt(node, count):
            for _ in range(count):
                event, _ = client.ask("encrypt", "POST", "transit/encrypt/k", {"plaintext": "AAAA"}, node=node)
                assert event.done

        for node in range(world.NODES):
            encrypt(node, 20)
            before = operations(node)
            encrypt(node, 500)
            # What a node looks after by itself meanwhile is a handful.
            assert operations(node) - before < 10
