"""Two nodes on PostgreSQL with a standby, which takes over when the primary dies."""

import contextlib
import os
import signal
import subprocess
import threading
import time

import database
import requests
from nodes import Node, begin, configuration, wait_open


@contextlib.contextmanager
def standby_of(primary):
    """A copy that has all that is acknowledged, and takes no writes until it is promoted."""
    with database.home() as (folder, port, become):
        copy, data = database.Database(primary.bin, folder, port), folder / "data"
        subprocess.run(
            [*become, copy.bin / "pg_basebackup", "-D", data, "-R", "-c", "fast", "-h", primary.folder,
             "-p", str(primary.port), "-U", "owner"],
            check=True, cwd=folder,
        )
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(
                [*become, copy.bin / "postgres", "-D", data, "-p", str(copy.port), "-c", f"unix_socket_directories={folder}",
                 "-c", "listen_addresses=127.0.0.1", "-c", "ssl=off"],
                stdout=log, stderr=log, cwd=folder,
            )
        try:
            wait(lambda: subprocess.run(copy.command("-c", "SELECT 1"), capture_output=True).returncode == 0)
            primary.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
            primary.sql("SELECT pg_reload_conf()")
            wait(lambda: primary.sql("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1")
            yield copy
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def wait(holds, patience=60):
    end = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


class Writer(threading.Thread):
    """Writes one entry after the other to each node in turn; knows which were acknowledged."""

    def __init__(self, urls, token, verify):
        super().__init__()
        self.urls, self.token, self.verify = urls, token, verify
        self.acknowledged, self.over = [], threading.Event()

    def run(self):
        number = 0
        while not self.over.is_set():
            number += 1
            url = f"{self.urls[number % len(self.urls)]}/kv/data/{number}"
            body = {"data": {"number": number}, "options": {"cas": 0}}
            with contextlib.suppress(requests.RequestException):
                answer = requests.post(url, json=body, headers=self.token, verify=self.verify, timeout=20)
                if answer.status_code == 200:
                    self.acknowledged.append(number)
            time.sleep(0.01)


def test_what_was_acknowledged_is_there_when_the_standby_has_taken_over(tmp_path):
    with database.running(ssl="off") as primary, standby_of(primary) as standby, contextlib.ExitStack() as stack:
        hosts = f"127.0.0.1:{primary.port},127.0.0.1:{standby.port}"
        password = database.PASSWORD.replace(" ", "%20")
        url = f"postgres://owner:{password}@{hosts}/postgres?sslmode=disable"
        text = configuration(tmp_path).replace("STORAGE", f'"postgresql" {{{{ connection_url = "{url}" }}}}')
        nodes = []
        for name in ("node1", "node2"):
            (tmp_path / name).mkdir()
            nodes.append(Node(tmp_path / name, text))
        for node in nodes:
            node.start()
            stack.callback(lambda process=node.process: (process.kill(), process.wait()))
            if node is nodes[0]:
                token, verify = begin(node, str(tmp_path / "ca.pem"))
            wait_open(node, verify)
        urls = [node.url for node in nodes]

        def ask(node, method, path, body=None, headers=token):
            return requests.request(method, f"{urls[node]}/{path}", json=body, headers=headers, verify=verify, timeout=20)

        ask(0, "POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}}).raise_for_status()
        revoked = ask(0, "POST", "auth/token/create", {"policies": ["default"]}).json()["auth"]["client_token"]
        writer = Writer(urls, token, verify)
        writer.start()
        stack.callback(lambda: (writer.over.set(), writer.join()))
        wait(lambda: len(writer.acknowledged) > 50)
        ask(1, "POST", "auth/token/revoke", {"token": revoked}).raise_for_status()
        os.kill(int((primary.folder / "data/postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
        # Nobody takes writes: the nodes say so, and that they are not fresh.
        wait(lambda: all(ask(node, "GET", "sys/health").status_code == 474 for node in (0, 1)))
        standby.sql("SELECT pg_promote()")
        wait(lambda: all(ask(node, "GET", "sys/health").status_code == 200 for node in (0, 1)))
        before = len(writer.acknowledged)
        wait(lambda: len(writer.acknowledged) > before + 50)
        writer.over.set()
        writer.join()
        for number in writer.acknowledged:
            read = ask(number % 2, "GET", f"kv/data/{number}").json()["data"]
            assert read["data"] == {"number": number} and read["metadata"]["version"] == 1
        for node in (0, 1):
            headers = {"X-Vault-Token": revoked}
            assert ask(node, "GET", "auth/token/lookup-self", headers=headers).status_code == 403
