"""Three nodes on one store, each where it can be reached, cut off and given another time."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import database
import etcd
import requests
from nodes import Node, begin, configuration, wait_open

from cluster import clock, network

NODES = 3
MEMBERS = 3


class World:
    """Running nodes; `verify` is the authority of their certificates."""

    def __init__(self, nodes, token, verify, store):
        self.nodes, self.token, self.verify, self.store = nodes, token, verify, store

    def url(self, node):
        return self.nodes[node].url

    def start(self, node):
        start(node)
        wait_open(node, self.verify)

    def settle(self):
        """Until each node reads and writes again: leases that ran out are there, and so are connections that were lost."""
        until = time.monotonic() + 60
        for number, node in enumerate(self.nodes):
            answer = None
            while answer is None or answer.status_code != 200:
                assert time.monotonic() < until, (number, answer and answer.text, (node.folder / "log").read_text())
                time.sleep(0.1)
                with contextlib.suppress(requests.RequestException):
                    asked = {"headers": self.token, "verify": self.verify, "timeout": 10}
                    answer = requests.post(f"{node.url}/kv/data/settled", json={"data": {}}, **asked)


class Postgres:
    """One database."""

    kind = "postgresql"

    def __init__(self, running, place, time):
        self.running, self.places, self.clock = running, [place], time
        password = database.PASSWORD.replace(" ", "%20")
        url = f"postgres://owner:{password}@{place.back}:{running.port}/postgres"
        if place.back != "127.0.0.1":
            url += f"?sslrootcert={running.folder}/ca.pem"
        self.stanza = f'"postgresql" {{{{ connection_url = "{url}" }}}}'

    def sever(self):
        self.running.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND client_port > 0")

    def pids(self):
        postmaster = self.running.pid
        children = subprocess.run(["pgrep", "-P", str(postmaster)], capture_output=True, text=True).stdout.split()
        return [postmaster, *map(int, children)]

    def settle(self):
        pass


class Etcd:
    """A cluster of members."""

    kind = "etcd"

    def __init__(self, running, places):
        self.running, self.members, self.places = running, running.members, places
        self.stanza = f'"etcd" {{{{ endpoints = "{running.url}" prefix = "/keyfold/" }}}}'

    def pids(self):
        return [member.pid for member in self.members]

    def settle(self):
        for member in self.members:
            member.wait()


@contextlib.contextmanager
def postgresql(net, clocks):
    place, time = net.host(front=False), clocks("store")
    with database.running(address=place.back, outer=place.prefix, inner=(*place.bound, *time.prefix)) as running:
        time.tidy(running.pid)
        yield Postgres(running, place, time)


@contextlib.contextmanager
def etcd_of_three(net, _clocks):
    places = [net.host(front=False) for _ in range(MEMBERS)]
    with etcd.running(*((place.back, place.prefix) for place in places)) as running:
        yield Etcd(running, places)


STORES = {"postgresql": postgresql, "etcd": etcd_of_three}


@contextlib.contextmanager
def running(kind, folder: Path, net=None):
    """A world on a store of that kind, on loopback where no network is given."""
    net = net or network.Loopback()
    with clock.clocks() as clocks, STORES[kind](net, clocks) as store:
        places = [net.host() for _ in range(NODES)]
        text = configuration(folder, *{place.front for place in places} - {"127.0.0.1"})
        text = text.replace("STORAGE", store.stanza)
        nodes = [placed(folder / f"node{number}", text, place, clocks) for number, place in enumerate(places)]
        try:
            start(nodes[0])
            token, verify = begin(nodes[0], str(folder / "ca.pem"))
            world = World(nodes, token, verify, store)
            for node in nodes[1:]:
                world.start(node)
            yield world
        finally:
            for node in nodes:
                if node.process:
                    kill(node.process.pid, signal.SIGCONT)
                    node.process.kill()
                    node.process.wait()


def placed(folder, text, place, clocks):
    """A node at its place, with a clock of its own."""
    folder.mkdir()
    time = clocks(folder.name)
    node = Node(folder, text, (*place.prefix, *time.prefix), place.front)
    node.place, node.clock, node.process = place, time, None
    return node


def start(node):
    node.start()
    node.clock.tidy(node.process.pid)


def kill(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
