"""An etcd of Debian's package, of one member or of several, on free ports."""

import contextlib
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path


class Member:
    """A process. It listens at an address, and runs below a command, for example in a namespace of its own."""

    def __init__(self, folder: Path, ports, address="127.0.0.1", prefix=()):
        client, peer = ports
        self.folder, self.prefix, self.process = folder, prefix, None
        self.url, self.peers = f"http://{address}:{client}", f"http://{address}:{peer}"

    @property
    def pid(self):
        return self.process.pid

    def start(self, cluster):
        command = [
            *self.prefix,
            "etcd",
            f"--name={self.folder.name}",
            f"--data-dir={self.folder}/data",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={self.peers}",
            f"--initial-advertise-peer-urls={self.peers}",
            f"--initial-cluster={cluster}",
        ]
        with open(self.folder / "log", "a") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()

    def answers(self):
        """Whether it has a leader and agrees with it."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
                return b"true" in answer.read()
        except OSError:
            return False

    def wait(self):
        until = time.monotonic() + 30
        while not self.answers():
            assert self.process.poll() is None and time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.05)


class Cluster:
    """Members that know each other; `url` has the addresses of all."""

    def __init__(self, members):
        self.members = members
        self.url = ",".join(member.url for member in members)
        self.peers = ",".join(f"{member.folder.name}={member.peers}" for member in members)

    def start(self, member):
        member.start(self.peers)


def free_ports(count):
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def running(*places):
    """A cluster with a member at each place, an address and the command to run below; else one on loopback."""
    places = places or [("127.0.0.1", ())]
    ports = free_ports(2 * len(places))
    with tempfile.TemporaryDirectory() as folder:
        members = []
        for number, place in enumerate(places):
            home = Path(folder, f"member{number}")
            home.mkdir()
            members.append(Member(home, ports[2 * number : 2 * number + 2], *place))
        cluster = Cluster(members)
        try:
            for member in members:
                cluster.start(member)
            for member in members:
                member.wait()
            yield cluster
        finally:
            for member in members:
                member.stop()
