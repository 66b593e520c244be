"""An etcd of Debian's package, of one member, on free ports."""

import contextlib
import socket
import subprocess
import tempfile
import time
import urllib.request


class Cluster:
    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def answers(self):
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=1) as answer:
                return b"true" in answer.read()
        except OSError:
            return False


def free_ports(count):
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def running():
    client, peer = free_ports(2)
    cluster, peers = Cluster(client), f"http://127.0.0.1:{peer}"
    with tempfile.TemporaryDirectory() as folder, open(f"{folder}/log", "w") as log:
        process = subprocess.Popen(
            [
                "etcd",
                f"--data-dir={folder}/data",
                f"--listen-client-urls={cluster.url}",
                f"--advertise-client-urls={cluster.url}",
                f"--listen-peer-urls={peers}",
                f"--initial-advertise-peer-urls={peers}",
                f"--initial-cluster=default={peers}",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            until = time.monotonic() + 30
            while not cluster.answers():
                assert process.poll() is None and time.monotonic() < until, open(f"{folder}/log").read()
                time.sleep(0.05)
            cluster.pid = process.pid
            yield cluster
        finally:
            process.kill()
            process.wait()
