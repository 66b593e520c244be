"""The server: requests beside the ceiling, durable writes and logins beside the disk's own speed."""

import base64
import contextlib
import json
import os
import time
from dataclasses import dataclass
from statistics import median

from measure import load, process, report

POLICY = """
path "transit/encrypt/bench" { capabilities = ["update"] }
path "transit/decrypt/bench" { capabilities = ["update"] }
path "secret/data/bench/*"   { capabilities = ["create", "read", "update"] }
"""
# What the ceiling alone does: an answer of 200 bytes for a GET, without any work.
FIXED = "a fixed answer"
PLAINTEXT = base64.b64encode(bytes(range(32))).decode()


@dataclass
class Target:
    """A process and the requests that mean the same to each."""

    process: process.Process
    token: str
    ciphertext: str
    # The bodies of AppRole logins by kind of token; the ceiling has none.
    logins: dict

    def rounds(self):
        """Name of the row to path and settings. What the ceiling has not is an encryption there."""
        seal = ("/v1/transit/encrypt/bench", {"method": "POST", "body": json.dumps({"plaintext": PLAINTEXT})})
        unseal = {"ciphertext": self.ciphertext}
        rounds = {
            "transit encrypt, 32 bytes": seal,
            "transit decrypt, 32 bytes": ("/v1/transit/decrypt/bench", {"method": "POST", "body": json.dumps(unseal)}),
            "KV v2 read": seal,
            "token lookup-self": seal,
            "AppRole login, batch token": seal,
        }
        if not self.logins:
            return rounds | {FIXED: ("/v1/fixed", {"method": "GET"})}
        return rounds | {
            "KV v2 read": ("/v1/secret/data/bench/one", {"method": "GET"}),
            "token lookup-self": ("/v1/auth/token/lookup-self", {"method": "GET"}),
            "AppRole login, batch token": self.login("batch"),
        }

    def login(self, kind):
        """Path and settings of a login."""
        return "/v1/auth/approle/login", {"method": "POST", "body": json.dumps(self.logins[kind])}


def measure(programs, folder, quick):
    """Returns the tables as text."""
    seconds, count = (1, 1) if quick else (5, 5)
    with contextlib.ExitStack() as stack:
        targets = {"ceiling": ceiling(stack, programs["keyfold-ceiling"])}
        for name, audited in (("no audit", False), ("file audit", True)):
            server, root = stack.enter_context(
                process.keyfold(programs["keyfold"], folder / name.replace(" ", "-"), audited)
            )
            if not audited:
                resident = server.resident_mib()
            targets[name] = prepare(server, root)
        results = {name: {} for name in targets}
        for turn in range(count):
            for row in targets["ceiling"].rounds():
                for name, target in targets.items():
                    if row not in target.rounds():
                        continue
                    path, settings = target.rounds()[row]
                    note(f"round {turn + 1} of {count}: {row}, {name}")
                    done = load.run(target.process, path, seconds, token=target.token, **settings)
                    results[name].setdefault(row, []).append(done)
        after = targets["no audit"].process.resident_mib()
        writes = durable(targets["no audit"], folder, seconds, count)
    token = int(process.said(programs["token_memory"]).split()[0])
    return report.server(results, writes, resident, after, token, acl_check(programs["acl_check"]))


def acl_check(program):
    """What the example says, in one line."""
    title, *rows = process.said(program).splitlines()
    figures = (row.rsplit(None, 1) for row in rows)
    return f"{title} " + ", ".join(f"{name.strip()} {time}" for name, time in figures)


def ceiling(stack, program):
    running = stack.enter_context(process.ceiling(program))
    sealed = running.call("POST", "/v1/transit/encrypt/bench", {"plaintext": PLAINTEXT})
    return Target(running, "", sealed["data"]["ciphertext"], {})


def prepare(server, root):
    """Mounts, a key, a policy, a secret, and a token that is not root."""
    server.call("PUT", "/v1/sys/mounts/transit", {"type": "transit"}, root)
    server.call("PUT", "/v1/sys/mounts/secret", {"type": "kv-v2"}, root)
    server.call("PUT", "/v1/transit/keys/bench", {}, root)
    server.call("PUT", "/v1/sys/policies/acl/bench", {"policy": POLICY}, root)
    token = server.call("PUT", "/v1/auth/token/create", {"policies": ["bench"]}, root)
    token = token["auth"]["client_token"]
    server.call("PUT", "/v1/secret/data/bench/one", {"data": {"password": "x" * 40}}, token)
    sealed = server.call("PUT", "/v1/transit/encrypt/bench", {"plaintext": PLAINTEXT}, token)
    return Target(server, token, sealed["data"]["ciphertext"], approles(server, root))


def approles(server, root):
    """A role for each kind of token, and what logs in there."""
    server.call("PUT", "/v1/sys/auth/approle", {"type": "approle"}, root)
    logins = {}
    for kind in ("batch", "service"):
        role = f"/v1/auth/approle/role/{kind}"
        server.call("PUT", role, {"token_type": kind, "token_policies": "bench", "token_ttl": "1h"}, root)
        role_id = server.call("GET", f"{role}/role-id", None, root)["data"]["role_id"]
        secret_id = server.call("PUT", f"{role}/secret-id", {}, root)["data"]["secret_id"]
        logins[kind] = {"role_id": role_id, "secret_id": secret_id}
    return logins


def durable(target, folder, seconds, count):
    """Writes to unique paths and logins, each acknowledged when it is on disk, between probes of that disk: the rounds of
    both, and the median probe."""
    body = json.dumps({"data": {"password": "x" * 40}})
    writes, logins, probes = [], [], [fdatasync_us(folder)]
    for turn in range(count):
        note(f"round {turn + 1} of {count}: KV v2 write, durable")
        prefix = f"/v1/secret/data/bench/{turn}-"
        done = load.run(target.process, "/", seconds, "unique", token=target.token, body=body, prefix=prefix)
        writes.append(done)
        probes.append(fdatasync_us(folder))
        note(f"round {turn + 1} of {count}: AppRole login, durable service token")
        path, settings = target.login("service")
        logins.append(load.run(target.process, path, seconds, token=target.token, **settings))
        probes.append(fdatasync_us(folder))
    return load.middle(writes), load.middle(logins), median(probes)


def fdatasync_us(folder, tries=300):
    """Median time of a 4 KiB overwrite and fdatasync in `folder`, in microseconds."""
    path = folder / "fdatasync-probe"
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.pwrite(file, bytes(4096 * 64), 0)
        os.fsync(file)
        times = []
        for turn in range(tries):
            start = time.perf_counter()
            os.pwrite(file, os.urandom(4096), 4096 * (turn % 64))
            os.fdatasync(file)
            times.append(time.perf_counter() - start)
    finally:
        os.close(file)
        path.unlink()
    return median(times) * 1e6


def note(text):
    print(text, flush=True)
