"""Several nodes on one store, a new version of the program, and the way of a store from storage to storage."""

import calendar
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import database
import etcd
import pytest
import requests
from nodes import Node, asked, balanced, begin, configuration, on_etcd, on_postgresql, restart, restart_all, wait_open

haproxy = pytest.mark.skipif(not shutil.which("haproxy"), reason="not here: haproxy")


@pytest.fixture(scope="module")
def stores():
    with database.running() as postgres, etcd.running() as cluster:
        yield {"postgresql": postgres, "etcd": cluster}


@pytest.fixture
def shared(stores, request):
    """By their names, storages that nodes share, with nothing in them."""
    name = request.node.originalname
    return {
        "postgresql": on_postgresql(stores["postgresql"].port, table=name),
        "etcd": on_etcd(stores["etcd"].url, prefix=f"{name}/"),
    }


@pytest.fixture(params=["postgresql", "etcd"])
def storage(shared, request):
    return shared[request.param]


# --- node after node ----------------------------------------------------------------------------------------------


@haproxy
def test_a_rolling_restart(tmp_path, storage):
    restart_all(tmp_path, storage)


@pytest.fixture
def old(tmp_path):
    """The program of another version, as far as one is given, else the same one at another path."""
    program = tmp_path / "keyfold-old"
    shutil.copy(os.environ.get("KEYFOLD_OLD_BIN") or os.environ["KEYFOLD_BIN"], program)
    yield program
    program.unlink()


@haproxy
def test_a_rolling_upgrade(tmp_path, storage, old):
    new = Path(os.environ["KEYFOLD_BIN"]).resolve()
    with balanced(tmp_path, storage, program=old) as (nodes, balancer, token, verify):

        def ask(node, method, path, body=None):
            answer = requests.request(method, f"https://localhost:{node.port}/v1/{path}", json=body, headers=token, verify=verify)
            assert answer.ok, (path, answer.status_code, answer.text)
            return answer.json()["data"] if answer.content else None

        def programs():
            return [Path(os.readlink(f"/proc/{node.process.pid}/exe")) for node in nodes]

        for name in ("node1", "node2"):
            balancer.wait_up(name)
        first, second = nodes
        sealed = [ask(second, "POST", "transit/encrypt/k", {"plaintext": "AAAA"})["ciphertext"]]
        assert programs() == [old, old]
        with asked(balancer, token, verify) as (faults, counts):
            first.program = new
            restart(balancer, "node1", first)
            # For a while there are both: what the new one writes, the old one reads, and the other way round.
            assert programs() == [new, old]
            for writer, reader in (nodes, nodes[::-1]):
                for path in ("sys/rotate", "transit/keys/k/rotate"):
                    ask(writer, "POST", path, {})
                sealed.append(ask(reader, "POST", "transit/encrypt/k", {"plaintext": "AAAA"})["ciphertext"])
                for ciphertext in sealed:
                    assert ask(reader, "POST", "transit/decrypt/k", {"ciphertext": ciphertext})["plaintext"] == "AAAA"
            second.program = new
            restart(balancer, "node2", second)
        assert not faults, faults[:5]
        assert all(counts), counts
        assert [text.split(":")[1] for text in sealed] == ["v1", "v2", "v3"]
        assert programs() == [new, new]
        # None of the old ones is at work any more.
        serving = [node for node in ask(first, "GET", "sys/ha-status")["nodes"] if node["active_node"]]
        assert len(serving) == 2
        told = subprocess.run([new, "version"], capture_output=True, text=True, check=True).stdout
        assert {f"Keyfold v{node['version']}" for node in serving} == {told.strip()}
        for node in nodes:
            for ciphertext in sealed:
                assert ask(node, "POST", "transit/decrypt/k", {"ciphertext": ciphertext})["plaintext"] == "AAAA"


# --- what one of them does ----------------------------------------------------------------------------------------


def test_each_scheduled_snapshot_is_made_by_one_node(tmp_path, storage):
    backups = tmp_path / "backups"
    text = configuration(tmp_path).replace("STORAGE", storage)
    text += f'snapshots {{{{ path = "{backups}" interval = "{EVERY}s" retain = 100 }}}}\n'
    nodes = []
    for name in ("node1", "node2"):
        (tmp_path / name).mkdir()
        nodes.append(Node(tmp_path / name, text))
    first, second = nodes
    try:
        token, verify = begin(first.start(), str(tmp_path / "ca.pem"))
        wait_open(second.start(), verify)
        made = wait_for_snapshots(backups, 3)
        # Two that each kept to the interval by itself would be at it twice as often.
        assert all(later - earlier >= EVERY - 1 for earlier, later in zip(made, made[1:])), made
        counts = [metric(node, token, verify, 'vault_snapshots_total{result="saved"}') for node in nodes]
        # One is perhaps under way.
        assert abs(sum(counts) - len(snapshots(backups))) <= 1, (counts, made)
        first.process.kill()
        first.process.wait()
        wait_for_snapshots(backups, len(snapshots(backups)) + 2)
        for file in backups.glob("keyfold-*.kfsnap"):
            told = operator("snapshot", "inspect", str(file))
            assert told.returncode == 0, told.stderr
    finally:
        for node in nodes:
            node.kill()


# Seconds from one snapshot to the next.
EVERY = 3


def snapshots(folder):
    """When each was begun, in seconds."""
    names = sorted(file.name for file in folder.glob("keyfold-*.kfsnap"))
    return [calendar.timegm(time.strptime(name, "keyfold-%Y%m%dT%H%M%SZ.kfsnap")) for name in names]


def wait_for_snapshots(folder, count):
    for _ in range(600):
        if len(made := snapshots(folder)) >= count:
            return made
        time.sleep(0.1)
    raise AssertionError(made)


def metric(node, token, verify, name):
    answer = requests.get(f"{node.url}/sys/metrics", params={"format": "prometheus"}, headers=token, verify=verify)
    return int(next(line for line in answer.text.splitlines() if line.startswith(name)).rsplit(" ", 1)[1])


# --- from storage to storage --------------------------------------------------------------------------------------


class Content:
    """What has to be found after each move: secrets, a transit key, tokens; more comes in each storage."""

    def __init__(self, token, verify):
        self.root, self.verify, self.kept = token, verify, []

    def ask(self, node, method, path, body=None, token=None):
        headers = {"X-Vault-Token": token} if token else self.root
        return requests.request(method, f"https://localhost:{node.port}/v1/{path}", json=body, headers=headers, verify=self.verify)

    def data(self, node, method, path, body=None):
        answer = self.ask(node, method, path, body)
        assert answer.ok, (path, answer.text)
        return answer.json() if answer.content else {}

    def begin(self, node):
        self.data(node, "POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})

    def add(self, node):
        number = len(self.kept)
        self.data(node, "POST", f"kv/data/app/{number}", {"data": {"n": number}})
        self.data(node, "POST", "kv/data/large", {"data": {"n": f"{number}" * 700_000}})
        self.data(node, "POST", "transit/keys/k/rotate", {})
        sealed = self.data(node, "POST", "transit/encrypt/k", {"plaintext": "AAAA"})["data"]["ciphertext"]
        kept, revoked = (self.data(node, "POST", "auth/token/create", {"policies": ["default"]})["auth"]["client_token"] for _ in "12")
        self.data(node, "POST", "auth/token/revoke", {"token": revoked})
        self.kept.append((sealed, kept, revoked))

    def check(self, node):
        for number, (sealed, kept, revoked) in enumerate(self.kept):
            assert self.data(node, "GET", f"kv/data/app/{number}")["data"]["data"] == {"n": number}
            large = self.data(node, "GET", f"kv/data/large?version={number + 1}")["data"]["data"]
            assert large == {"n": f"{number}" * 700_000}
            assert self.data(node, "POST", "transit/decrypt/k", {"ciphertext": sealed})["data"]["plaintext"] == "AAAA"
            assert self.ask(node, "GET", "auth/token/lookup-self", token=kept).status_code == 200
            assert self.ask(node, "GET", "auth/token/lookup-self", token=revoked).status_code == 403
        assert self.data(node, "GET", "kv/metadata/app?list=true")["data"]["keys"] == [str(n) for n in range(len(self.kept))]


def test_a_store_goes_from_storage_to_storage(tmp_path, shared):
    text = configuration(tmp_path)
    file = '"redb" {{ path = "{folder}/store" }}'
    way = [("redb", file), ("etcd", shared["etcd"]), ("postgresql", shared["postgresql"]), ("redb", file)]
    nodes = []
    for number, (_, storage) in enumerate(way):
        (tmp_path / f"{number}").mkdir()
        nodes.append(Node(tmp_path / f"{number}", text.replace("STORAGE", storage)))
    try:
        node = nodes[0].start()
        content = Content(*begin(node, str(tmp_path / "ca.pem")))
        content.begin(node)
        content.add(node)
        for (source, _), (destination, _), before, node in zip(way, way[1:], nodes, nodes[1:]):
            if source != "redb":
                # A shared store can be open twice: who serves from it is known all the same.
                refused(move(before, node), "a server has the source")
                refused(move(nodes[0], before), "a server has the destination")
            before.stop()
            moved = move(before, node)
            assert moved.returncode == 0, moved.stderr
            told = json.loads(moved.stdout)
            assert (told["from"], told["to"]) == (source, destination)
            refused(move(before, node), "the destination is not empty")
            wait_open(node.start(), content.verify)
            content.check(node)
            content.add(node)
        content.check(node)
    finally:
        for node in nodes:
            node.kill()


def test_the_other_form_of_a_move(tmp_path, shared):
    """Two storages in one file, as Vault and OpenBao have it."""
    text = configuration(tmp_path)
    file = f'"redb" {{{{ path = "{tmp_path}/store" }}}}'
    node = Node(tmp_path, text.replace("STORAGE", file))
    try:
        begin(node.start(), str(tmp_path / "ca.pem"))
        node.stop()
    finally:
        node.kill()
    blocks = f"storage_source {file}\nstorage_destination {shared['etcd']}\n".replace("{{", "{").replace("}}", "}")
    (tmp_path / "move.hcl").write_text(blocks)
    moved = operator("migrate", f"-config={tmp_path}/move.hcl")
    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout)["to"] == "etcd"


def move(source, destination):
    return operator("migrate-store", f"-from={source.folder}/k.hcl", f"-to={destination.folder}/k.hcl")


def operator(*arguments):
    command = [os.environ["KEYFOLD_BIN"], "operator", *arguments, "-format=json"]
    return subprocess.run(command, capture_output=True, text=True, env={"HOME": "/nonexistent"}, timeout=60)


def refused(done, reason):
    assert done.returncode == 1, done.stdout
    assert reason in done.stderr, done.stderr
