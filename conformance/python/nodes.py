"""Server processes on configurations of their own, and HAProxy before them as deploy/haproxy has it."""

import base64
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import certificates
import database
import requests
from conftest import await_listener

EXAMPLE = Path(__file__).parents[2] / "deploy/haproxy/haproxy.cfg"
CONFIG = """
shutdown_delay = "1s"
storage STORAGE
seal "static" {{ current_key_id = "1" current_key = "SEAL" }}
listener "tcp" {{
  address       = "{address}:{port}"
  tls_cert_file = "CERTIFICATES/server.pem"
  tls_key_file  = "CERTIFICATES/server.key"
}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Node:
    """A server; `text` is its configuration, with its address, port and folder to be filled in. It runs the program that is
    tried, or another one."""

    def __init__(self, folder: Path, text: str, prefix=(), address="127.0.0.1", program=None):
        self.folder, self.prefix, self.program, self.address, self.port = folder, prefix, program, address, free_port()
        self.process = None
        name = "localhost" if address == "127.0.0.1" else address
        self.url = f"https://{name}:{self.port}/v1"
        (folder / "k.hcl").write_text(text.format(address=address, port=self.port, folder=folder))

    def start(self):
        command = [*self.prefix, self.program or os.environ["KEYFOLD_BIN"], "server", f"-config={self.folder}/k.hcl"]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        await_listener(self.process, self.port, self.folder / "log", address=self.address)
        return self

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0, (self.folder / "log").read_text()

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


class Balancer:
    """HAProxy with the example's configuration, for two nodes of the test and one that is not there."""

    def __init__(self, folder: Path, nodes):
        self.port, self.admin, self.log = free_port(), folder / "admin", folder / "haproxy.log"
        # Nobody listens at a reserved port.
        addresses = [f"127.0.0.1:{node.port}" for node in nodes] + ["127.0.0.1:1"]
        text = EXAMPLE.read_text()
        for old, new in [
            ("bind :8200", f"bind 127.0.0.1:{self.port}"),
            ("/etc/haproxy/keyfold.pem", f"{folder}/both.pem"),
            ("/etc/haproxy/keyfold-ca.pem", f"{folder}/ca.pem"),
            ("verifyhost keyfold.example", "verifyhost localhost"),
            # What is down comes up sooner. A check may take as long as the time between two: shorter ones fail on a busy machine.
            ("inter 1s", "inter 1s fastinter 100ms downinter 100ms"),
            ("    log stdout", f"    stats socket {self.admin} level operator\n    log stdout"),
            *((f"node{n}.example:8200", address) for n, address in enumerate(addresses, 1)),
        ]:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        config = folder / "haproxy.cfg"
        config.write_text(text)
        checked = subprocess.run(["haproxy", "-c", "-f", config], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(["haproxy", "-db", "-f", config], stdout=log, stderr=log)

    def nodes(self):
        """The state of each node, and how many good answers it gave."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(self.admin))
            admin.sendall(b"show stat\n")
            text = b"".join(iter(lambda: admin.recv(65536), b"")).decode()
        head, *rows = (line.split(",") for line in text.lstrip("# ").splitlines() if line)
        rows = (dict(zip(head, row)) for row in rows)
        return {row["svname"]: (row["status"].split()[0], int(row["hrsp_2xx"] or 0)) for row in rows}

    def wait(self, node, holds):
        """Until something holds of a node's state and good answers."""
        end = time.monotonic() + 30
        while not (self.admin.exists() and holds(*self.nodes()[node])):
            assert time.monotonic() < end, (self.admin.exists() and self.nodes(), self.log.read_text())
            time.sleep(0.02)

    def wait_up(self, node):
        self.wait(node, lambda state, _: state == "UP")


def configuration(folder: Path, *addresses):
    """Of a server that a key opens and that speaks TLS, with certificates in the folder; its STORAGE is to be filled in."""
    certificates.make(folder, *addresses)
    seal = base64.b64encode(os.urandom(32)).decode()
    return CONFIG.replace("SEAL", seal).replace("CERTIFICATES", str(folder))


def on_postgresql(port, **settings):
    """A storage in a database of the tests' own."""
    password = database.PASSWORD.replace(" ", "%20")
    return stanza("postgresql", connection_url=f"postgres://owner:{password}@127.0.0.1:{port}/postgres", **settings)


def on_etcd(url, **settings):
    return stanza("etcd", endpoints=url, **settings)


def stanza(kind, **settings):
    """A storage, as it takes the place of STORAGE."""
    lines = " ".join(f'{name} = "{value}"' for name, value in settings.items())
    return f'"{kind}" {{{{ {lines} }}}}'


@contextlib.contextmanager
def balanced(folder: Path, storage: str, between=None, program=None):
    """Two nodes with HAProxy before them; `between` makes the second one's store of the first one's, where they have not
    the same; `program` is what they run. Gives the nodes, HAProxy, the headers of the root token and the authority to
    trust."""
    text = configuration(folder).replace("STORAGE", storage)
    # Longer than the time between two checks.
    text = text.replace('shutdown_delay = "1s"', 'shutdown_delay = "3s"')
    (folder / "both.pem").write_bytes((folder / "server.pem").read_bytes() + (folder / "server.key").read_bytes())
    nodes = []
    for name in ("node1", "node2"):
        (folder / name).mkdir()
        nodes.append(Node(folder / name, text, program=program))
    first, second = nodes
    started = []
    try:
        started.append(first.start())
        token, verify = begin(first, str(folder / "ca.pem"))
        if between:
            first.stop()
            between(first.folder, second.folder)
            first.start()
        started.append(second.start())
        balancer = Balancer(folder, nodes)
        started.append(balancer)
        yield nodes, balancer, token, verify
    finally:
        for process in (one.process for one in started):
            process.kill()
            process.wait()


def begin(node, verify):
    """Initialises a node and makes a transit key."""
    shares = {"recovery_shares": 1, "recovery_threshold": 1}
    made = requests.put(f"{node.url}/sys/init", json=shares, verify=verify).json()
    token = {"X-Vault-Token": made["root_token"]}
    for path, body in [("sys/mounts/transit", {"type": "transit"}), ("transit/keys/k", {})]:
        requests.post(f"{node.url}/{path}", json=body, headers=token, verify=verify).raise_for_status()
    return token, verify


def wait_open(node, verify):
    """Waits until its seal has opened a node, which listens before that."""
    for _ in range(200):
        if requests.get(f"{node.url}/sys/health", verify=verify).status_code == 200:
            return
        time.sleep(0.05)
    raise AssertionError((node.folder / "log").read_text())


@contextlib.contextmanager
def asked(balancer, token, verify):
    """Two clients that ask all the time, on connections that are kept, and try nothing again. Gives the list of what
    failed, and that of how often each asked."""
    url = f"https://localhost:{balancer.port}/v1"
    over, faults, counts = threading.Event(), [], [0, 0]

    def ask(which, method, path, body):
        with requests.Session() as session:
            session.headers.update(token)
            # Not that of a variable.
            session.trust_env, session.verify = False, verify
            while not over.is_set():
                try:
                    answer = session.request(method, f"{url}/{path}", json=body, timeout=20)
                    if answer.status_code != 200:
                        faults.append(f"{answer.status_code}: {answer.text}")
                except requests.RequestException as error:
                    faults.append(repr(error))
                counts[which] += 1
                time.sleep(0.005)

    calls = [("GET", "auth/token/lookup-self", None), ("POST", "transit/encrypt/k", {"plaintext": "AAAA"})]
    askers = [threading.Thread(target=ask, args=(which, *call)) for which, call in enumerate(calls)]
    for asker in askers:
        asker.start()
    try:
        yield faults, counts
    finally:
        over.set()
        for asker in askers:
            asker.join()


def restart(balancer, name, node):
    """Restarts a node, and waits until it serves again."""
    node.process.send_signal(signal.SIGTERM)
    balancer.wait(name, lambda state, _: state == "DOWN")
    # It is known to go while it still serves.
    assert node.process.poll() is None
    assert node.process.wait(30) == 0, (node.folder / "log").read_text()
    _, before = balancer.nodes()[name]
    node.start()
    balancer.wait(name, lambda state, answers: state == "UP" and answers > before)


def restart_all(folder: Path, storage: str, between=None):
    """Restarts node after node below clients; nothing fails."""
    with balanced(folder, storage, between) as (nodes, balancer, token, verify):
        names = ("node1", "node2")
        for name in names:
            balancer.wait_up(name)
        with asked(balancer, token, verify) as (faults, counts):
            for name, node in zip(names, nodes):
                restart(balancer, name, node)
        assert not faults, faults[:5]
        assert all(counts), counts


def copied(first: Path, second: Path):
    """Stores that know the same tokens and keys."""
    shutil.copy(first / "store", second / "store")
