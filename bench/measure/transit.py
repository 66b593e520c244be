"""Transit: each call beside the ceiling's, batches beside the bare cost of an item, keys with many versions."""

import base64
import contextlib
import json
import subprocess
import time
from dataclasses import dataclass
from statistics import median

from measure import load, process, report
from measure.server_plane import note

POLICY = """
path "transit/*" { capabilities = ["create", "read", "update"] }
"""
ITEM = base64.b64encode(bytes(range(32))).decode()
ITEMS = 250
MEBIBYTE = base64.b64encode(bytes(1 << 20)).decode()
VERSIONS = 10_000


@dataclass
class Target:
    """A process, and what it made of the same input."""

    process: process.Process
    token: str
    # The members of each request, by its row.
    bodies: dict


# Row to path; the goal is the same for all of them.
ROWS = {
    "encrypt": "encrypt/bench",
    "decrypt": "decrypt/bench",
    "datakey": "datakey/plaintext/bench",
    "rewrap": "rewrap/rotated",
    "hmac": "hmac/bench",
    "sign, Ed25519": "sign/ed25519",
    "verify, Ed25519": "verify/ed25519",
    "sign, ECDSA P-256": "sign/p256",
    "verify, ECDSA P-256": "verify/p256",
    "encrypt, 1 MiB": "encrypt/bench",
    f"encrypt, a batch of {ITEMS}": "encrypt/bench",
}


def measure(programs, folder, quick):
    """Returns the tables as text."""
    seconds, count, versions = (1, 1, 50) if quick else (5, 5, VERSIONS)
    with contextlib.ExitStack() as stack:
        ceiling = stack.enter_context(process.ceiling(programs["keyfold-ceiling"]))
        server, root = stack.enter_context(process.keyfold(programs["keyfold"], folder / "transit"))
        token = prepare(server, root)
        targets = {"ceiling": target(ceiling, ""), "keyfold": target(server, token)}
        results = {name: {row: [] for row in ROWS} for name in targets}
        bare = []
        for turn in range(count):
            for row, path in ROWS.items():
                for name, at in targets.items():
                    note(f"round {turn + 1} of {count}: {row}, {name}")
                    results[name][row].append(drive(at, path, at.bodies[row], seconds))
            # While both servers are idle, and as often as the batches that it is compared with.
            bare.append(int(subprocess.run([programs["keyfold-ceiling"], "bare"], check=True, capture_output=True).stdout))
        many = old_keys(targets["keyfold"], versions, seconds, count)
    return report.transit(results, median(bare), ITEMS, versions, many)


def drive(at, path, body, seconds):
    return load.run(at.process, f"/v1/transit/{path}", seconds, token=at.token, method="POST", body=json.dumps(body))


def prepare(server, root):
    """The mount, the keys, and a token that is not root."""
    server.call("PUT", "/v1/sys/mounts/transit", {"type": "transit"}, root)
    for name, kind in {"ed25519": "ed25519", "p256": "ecdsa-p256"}.items():
        server.call("PUT", f"/v1/transit/keys/{name}", {"type": kind}, root)
    for name in ("bench", "rotated", "one", "many"):
        server.call("PUT", f"/v1/transit/keys/{name}", {}, root)
    server.call("PUT", "/v1/sys/policies/acl/bench", {"policy": POLICY}, root)
    return server.call("PUT", "/v1/auth/token/create", {"policies": ["bench"]}, root)["auth"]["client_token"]


def target(server, token):
    """The same requests for each server."""

    def ask(path, body):
        return server.call("POST", f"/v1/transit/{path}", body, token)["data"]

    bodies = {row: {"plaintext": ITEM} for row in ROWS}
    bodies["encrypt, 1 MiB"] = {"plaintext": MEBIBYTE}
    bodies[f"encrypt, a batch of {ITEMS}"] = {"batch_input": [{"plaintext": ITEM}] * ITEMS}
    bodies["decrypt"] = {"ciphertext": ask("encrypt/bench", bodies["encrypt"])["ciphertext"]}
    bodies["datakey"] = {}
    bodies["rewrap"] = {"ciphertext": ask("encrypt/rotated", bodies["encrypt"])["ciphertext"]}
    if token:
        ask("keys/rotated/rotate", {})
    bodies["hmac"] = {"input": ITEM}
    for name, key in {"Ed25519": "ed25519", "ECDSA P-256": "p256"}.items():
        bodies[f"sign, {name}"] = {"input": ITEM}
        signature = ask(f"sign/{key}", {"input": ITEM})["signature"]
        bodies[f"verify, {name}"] = {"input": ITEM, "signature": signature}
    return Target(server, token, bodies)


def old_keys(at, versions, seconds, count):
    """A key with many versions beside one with one: rows of rounds for each, and what a rotation takes, microseconds."""

    def ask(path, body):
        return at.process.call("POST", f"/v1/transit/{path}", body, at.token)["data"]

    note(f"a key with {versions} versions")
    sealed = {1: ask("encrypt/many", {"plaintext": ITEM})["ciphertext"]}
    for version in range(2, versions + 1):
        at.process.call("POST", "/v1/transit/keys/many/rotate", {}, at.token)
        if version in (versions // 2, versions):
            sealed[version] = ask("encrypt/many", {"plaintext": ITEM})["ciphertext"]
    alone = {"ciphertext": ask("encrypt/one", {"plaintext": ITEM})["ciphertext"]}
    rows = {
        "encrypt": ("encrypt", {"plaintext": ITEM}, {"plaintext": ITEM}),
        **{f"decrypt, version {v}": ("decrypt", alone, {"ciphertext": text}) for v, text in sealed.items()},
    }
    rounds = {row: ([], []) for row in rows}
    # Equal requests but for the key: many short rounds in turn, so that what else the machine does falls on both.
    for turn in range(count * seconds):
        for row, (call, one, many) in rows.items():
            note(f"round {turn + 1} of {count * seconds}: {row} of many")
            pair = [(0, f"{call}/one", one), (1, f"{call}/many", many)]
            for place, path, body in pair[:: 1 if turn % 2 else -1]:
                rounds[row][place].append(drive(at, path, body, 1))
    note("rotations")
    turns = {"young": [], "many": []}
    for turn in range(10 * count):
        at.process.call("POST", f"/v1/transit/keys/young{turn}", {}, at.token)
        for name, path in {"young": f"keys/young{turn}", "many": "keys/many"}.items():
            # The answer tells of each version: to read its JSON would take this program longer than all the rest.
            start = time.perf_counter()
            at.process.send("POST", f"/v1/transit/{path}/rotate", {}, at.token)
            turns[name].append((time.perf_counter() - start) * 1e6)
    return rounds, median(turns["young"]), median(turns["many"])
