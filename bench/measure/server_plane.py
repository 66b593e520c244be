"""The server: transit and KV reads beside the ceiling, durable KV writes beside the disk's own speed."""

import base64
import contextlib
import json
import os
import subprocess
import time
from dataclasses import dataclass
from statistics import median

from measure import load, process, report

POLICY = """
path "transit/encrypt/bench" { capabilities = ["update"] }
path "transit/decrypt/bench" { capabilities = ["update"] }
path "secret/data/bench/*"   { capabilities = ["create", "read", "update"] }
"""
PLAINTEXT = base64.b64encode(bytes(range(32))).decode()


@dataclass
class Target:
    """A process and the requests that mean the same to each."""

    process: process.Process
    token: str
    ciphertext: str

    def rounds(self):
        """Name of the row to path and settings."""
        seal, unseal = {"plaintext": PLAINTEXT}, {"ciphertext": self.ciphertext}
        return {
            "transit encrypt, 32 bytes": ("/v1/transit/encrypt/bench", {"method": "POST", "body": json.dumps(seal)}),
            "transit decrypt, 32 bytes": ("/v1/transit/decrypt/bench", {"method": "POST", "body": json.dumps(unseal)}),
            "KV v2 read": ("/v1/secret/data/bench/one", {"method": "GET"}),
        }


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
                    path, settings = target.rounds()[row]
                    note(f"round {turn + 1} of {count}: {row}, {name}")
                    done = load.run(target.process, path, seconds, token=target.token, **settings)
                    results[name].setdefault(row, []).append(done)
        after = targets["no audit"].process.resident_mib()
        writes = durable_writes(targets["no audit"], folder, seconds, count)
    done = subprocess.run([programs["token_memory"]], check=True, capture_output=True, text=True)
    return report.server(results, writes, resident, after, int(done.stdout.split()[0]))


def ceiling(stack, program):
    running = stack.enter_context(process.ceiling(program))
    sealed = running.call("POST", "/v1/transit/encrypt/bench", {"plaintext": PLAINTEXT})
    return Target(running, "", sealed["data"]["ciphertext"])


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
    return Target(server, token, sealed["data"]["ciphertext"])


def durable_writes(target, folder, seconds, count):
    """Writes to unique paths, each acknowledged when it is on disk, between probes of that disk."""
    body = json.dumps({"data": {"password": "x" * 40}})
    rounds, probes = [], [fdatasync_us(folder)]
    for turn in range(count):
        note(f"round {turn + 1} of {count}: KV v2 write, durable")
        prefix = f"/v1/secret/data/bench/{turn}-"
        rounds.append(
            load.run(target.process, "/", seconds, "unique", token=target.token, body=body, prefix=prefix)
        )
        probes.append(fdatasync_us(folder))
    return load.middle(rounds), median(probes)


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
