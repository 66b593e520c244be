"""What is asked while things go wrong, and the history of it."""

import base64
import random
import threading
import time
from dataclasses import dataclass, field

import requests

# Short, so that a node that stands still does not keep all clients from asking the others.
TIMEOUT = 3
REGISTERS = 6
USES = 8
# Seconds that things are put into a set.
SET = 3


@dataclass
class Event:
    """One request: when it was sent and when its answer was there, by the clock of the test."""

    what: str
    start: float
    end: float
    # True: done; False: refused, and not done; None: not known, for there was no answer or one of 5xx.
    done: bool | None
    told: dict = field(default_factory=dict)


class Client:
    """One of several at once. It asks another node each time."""

    def __init__(self, world, seed):
        self.world, self.random, self.events = world, random.Random(seed), []
        self.session = requests.Session()
        self.session.trust_env, self.session.verify = False, world.verify

    def ask(self, what, method, path, body=None, token=None, node=None, **told):
        """Sends a request to a node, writes down what became of it, and gives the answer's data."""
        node = self.random.randrange(len(self.world.nodes)) if node is None else node
        headers = {"X-Vault-Token": token} if token else self.world.token
        start, done, data, status = time.monotonic(), None, {}, None
        try:
            answer = self.session.request(
                method, f"{self.world.url(node)}/{path}", json=body, headers=headers, timeout=TIMEOUT
            )
            status = answer.status_code
            done = True if status < 300 else False if status < 500 else None
            # 412 and 429 are no answers to what was asked.
            done = None if status in (412, 429) else done
            if done and answer.content:
                data = answer.json()
                data = data.get("auth") or data.get("data") or {}
        except (requests.RequestException, ValueError):
            done = None
        event = Event(what, start, time.monotonic(), done, {"node": node, "status": status, **told})
        self.events.append(event)
        return event, data

    # Registers: a read, and a write on the condition that nothing was written since.

    def registers(self):
        name = f"r{self.random.randrange(REGISTERS)}"
        event, data = self.ask("read", "GET", f"kv/data/{name}", register=name)
        if event.done is None:
            return
        known = data.get("metadata", {}).get("version", 0) if event.done else 0
        event.done = True
        event.told |= {"version": known, "value": (data.get("data") or {}).get("value")}
        value = f"{self.random.getrandbits(64):x}"
        body = {"options": {"cas": known}, "data": {"value": value}}
        event, data = self.ask("write", "POST", f"kv/data/{name}", body, register=name, value=value, version=known + 1)
        if event.done:
            event.told["version"] = data["version"]

    # Sets: entries of one folder, which all put some into and list. Each is of a few seconds, so that lists stay short.

    def sets(self):
        name, element = f"set{int(time.monotonic() / SET)}", f"{self.random.getrandbits(64):x}"
        self.ask("add", "POST", f"kv/data/{name}/{element}", {"data": {}}, set=name, element=element)
        event, data = self.ask("list", "GET", f"kv/metadata/{name}?list=true", set=name)
        # 404: it is empty.
        event.done = None if event.done is None else True
        event.told["elements"] = data.get("keys", [])

    # Tokens: made on one node, used on others, revoked on a third.

    def tokens(self):
        event, auth = self.ask("token", "POST", "auth/token/create", {"policies": ["default"], "ttl": "1h"})
        if not event.done:
            return
        token = auth["client_token"]
        self.ask("use", "GET", "auth/token/lookup-self", token=token, of=token)
        self.ask("revoke", "POST", "auth/token/revoke", {"token": token}, of=token)
        for node in range(len(self.world.nodes)):
            self.ask("use", "GET", "auth/token/lookup-self", token=token, node=node, of=token)

    # Counters: a token of so many uses, used by several at once on all nodes.

    def counters(self):
        body = {"policies": ["default"], "num_uses": USES, "ttl": "1h"}
        event, auth = self.ask("counter", "POST", "auth/token/create", body)
        if not event.done:
            return
        token = auth["client_token"]
        others = [Client(self.world, self.random.getrandbits(32)) for _ in range(3)]

        def use(client):
            for _ in range(USES):
                client.ask("count", "GET", "auth/token/lookup-self", token=token, of=token)

        threads = [threading.Thread(target=use, args=(client,)) for client in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.events += [event for client in others for event in client.events]

    # Keys of transit: rotated on one node, used on the others, and old versions retired.

    def keys(self):
        for _ in range(4):
            event, data = self.ask("encrypt", "POST", "transit/encrypt/k", {"plaintext": base64.b64encode(b"text").decode()})
            if event.done:
                event.told["ciphertext"] = data["ciphertext"]
        old = [event.told["ciphertext"] for event in self.events if event.what == "encrypt" and event.done]
        for ciphertext in self.random.sample(old, min(len(old), 3)):
            self.ask("decrypt", "POST", "transit/decrypt/k", {"ciphertext": ciphertext}, ciphertext=ciphertext)

    def rotations(self):
        event, data = self.ask("rotate", "POST", "transit/keys/k/rotate", {})
        event, data = self.ask("versions", "GET", "transit/keys/k")
        if not event.done:
            return
        newest = data["latest_version"]
        event.told["newest"] = newest
        if newest > 3 and self.random.random() < 0.3:
            body = {"min_decryption_version": newest - 2, "min_encryption_version": 0}
            self.ask("retire", "POST", "transit/keys/k/config", body, below=newest - 2)
        self.ask("rotate-kek", "POST", "sys/rotate", {})
        self.ask("rotate-dek", "POST", f"sys/mounts/{self.random.choice(['kv', 'transit'])}/rotate-dek", {"rate": 20_000})
        time.sleep(0.3)

    # Policies: changed on one node, asked for on all; and mounts, which come and go while keys are rotated.

    def policies(self):
        name = f"p{self.random.getrandbits(64):x}"
        rule = f'path "kv/data/{name}" {{ capabilities = ["create", "update"] }}'
        event, _ = self.ask("policy", "POST", f"sys/policies/acl/{name}", {"policy": rule})
        if not event.done:
            return
        event, auth = self.ask("token", "POST", "auth/token/create", {"policies": [name], "ttl": "1h"})
        if not event.done:
            return
        token, nodes = auth["client_token"], range(len(self.world.nodes))
        for node in nodes:
            self.ask("allowed", "POST", f"kv/data/{name}", {"data": {}}, token=token, node=node, policy=name)
        rule = rule.replace('"create", "update"', '"read"')
        self.ask("forbid", "POST", f"sys/policies/acl/{name}", {"policy": rule}, policy=name)
        for node in nodes:
            self.ask("allowed", "POST", f"kv/data/{name}", {"data": {}}, token=token, node=node, policy=name)

    def mounts(self):
        path = f"m{self.random.getrandbits(64):x}"
        event, _ = self.ask("mount", "POST", f"sys/mounts/{path}", {"type": "kv", "options": {"version": "1"}})
        if not event.done:
            return
        self.put(path)
        if self.random.random() < 0.7:
            self.ask("unmount", "DELETE", f"sys/mounts/{path}", mount=path)
            self.put(path)

    def put(self, path):
        for node in range(len(self.world.nodes)):
            self.ask("put", "POST", f"{path}/{node}", {"v": path}, node=node, mount=path, entry=f"{path}/{node}")


CLIENTS = ("registers", "registers", "registers", "sets", "sets", "tokens", "tokens", "counters", "keys", "keys", "rotations",
           "policies", "mounts")


def run(world, seed, over):
    """Asks until `over` is set; the history, by the moment of each question."""
    clients = [(Client(world, f"{seed} {number}"), name) for number, name in enumerate(CLIENTS)]
    failed = []

    def work(client, name):
        try:
            while not over.is_set():
                getattr(client, name)()
        except Exception as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=work, args=pair) for pair in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return sorted((event for client, _ in clients for event in client.events), key=lambda event: event.start)
