"""Three nodes on one store, and what goes wrong with them."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import database
import etcd
from nodes import Node, begin, configuration, wait_open

NODES = 3


class World:
    """Running nodes; `verify` is the authority of their certificates."""

    def __init__(self, nodes, token, verify, store):
        self.nodes, self.token, self.verify, self.store = nodes, token, verify, store

    def url(self, node):
        return f"https://localhost:{self.nodes[node].port}/v1"

    # What goes wrong. Each ends with everything running again.

    def kill(self, node, _pause):
        """A node is gone without a word, and comes back."""
        self.nodes[node].process.kill()
        self.nodes[node].process.wait()
        self.come_back(node)

    def restart(self, node, _pause):
        """A node is told to go, and comes back."""
        self.nodes[node].stop()
        self.come_back(node)

    def freeze(self, node, pause):
        """A node stands still, for longer than its lease or not, and goes on as if nothing had been."""
        process = self.nodes[node].process
        process.send_signal(signal.SIGSTOP)
        time.sleep(pause)
        process.send_signal(signal.SIGCONT)

    def freeze_store(self, _node, pause):
        """The store stands still."""
        pids = self.store.pids()
        for pid in pids:
            kill(pid, signal.SIGSTOP)
        time.sleep(pause)
        for pid in pids:
            kill(pid, signal.SIGCONT)

    def sever(self, _node, _pause):
        """All connections to the store end."""
        self.store.sever()

    def faults(self):
        always = [self.kill, self.restart, self.freeze, self.freeze_store]
        return [*always, self.sever] if self.store.can_sever else always

    def come_back(self, node):
        self.nodes[node].start()
        wait_open(self.nodes[node], self.verify)


class Postgres:
    can_sever = True

    def __init__(self, running):
        self.running = running
        password = database.PASSWORD.replace(" ", "%20")
        url = f"postgres://owner:{password}@127.0.0.1:{running.port}/postgres"
        self.stanza = f'"postgresql" {{{{ connection_url = "{url}" }}}}'

    def sever(self):
        self.running.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND client_port > 0")

    def pids(self):
        postmaster = int((self.running.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
        children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True).stdout.split()
        return [postmaster, *map(int, children)]


class Etcd:
    can_sever = False

    def __init__(self, running):
        self.running = running
        self.stanza = f'"etcd" {{{{ endpoints = "{running.url}" prefix = "/keyfold/" }}}}'

    def pids(self):
        return [self.running.pid]


STORES = {"postgresql": (database.running, Postgres), "etcd": (etcd.running, Etcd)}


@contextlib.contextmanager
def running(kind, folder: Path):
    """A world on a store of that kind."""
    run, store_of = STORES[kind]
    with run() as store:
        store = store_of(store)
        text = configuration(folder).replace("STORAGE", store.stanza)
        nodes = []
        for name in range(NODES):
            (folder / f"node{name}").mkdir()
            nodes.append(Node(folder / f"node{name}", text))
        started = []
        try:
            started.append(nodes[0].start())
            token, verify = begin(nodes[0], str(folder / "ca.pem"))
            for node in nodes[1:]:
                started.append(node.start())
                wait_open(node, verify)
            yield World(nodes, token, verify, store)
        finally:
            for node in started:
                kill(node.process.pid, signal.SIGCONT)
                node.process.kill()
                node.process.wait()


def kill(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
