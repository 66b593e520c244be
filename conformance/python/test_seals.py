"""Seals on what other people built: the transit engine of OpenBao, the KMS of moto."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import boto3
import hvac
import pytest

from stock import openbao

KEYFOLD = os.environ["KEYFOLD_BIN"]


@contextlib.contextmanager
def keyfold(folder: Path, seal: str):
    """A server on the store of the folder, with that seal; yields a client once it answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "server.hcl").write_text(
        f'listener "tcp" {{ address = "127.0.0.1:{port}" tls_disable = true }}\n'
        f'storage "redb" {{ path = "{folder}/store" }}\n{seal}\n'
    )
    with open(folder / "keyfold.log", "ab") as log:
        process = subprocess.Popen([KEYFOLD, "server", f"-config={folder}/server.hcl"], stdout=log, stderr=log)
    try:
        client = hvac.Client(url=f"http://127.0.0.1:{port}")
        for _ in range(200):
            with contextlib.suppress(Exception):
                client.sys.read_seal_status()
                break
            assert process.poll() is None, (folder / "keyfold.log").read_text()
            time.sleep(0.05)
        yield client
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def until(so, what):
    for _ in range(300):
        with contextlib.suppress(Exception):
            if so():
                return
        time.sleep(0.1)
    pytest.fail(what)


def begin(client):
    """Begins the store with one share beside the seal; the share."""
    made = client.adapter.put("/v1/sys/init", json={"recovery_shares": 1, "recovery_threshold": 1})
    made = made if isinstance(made, dict) else made.json()
    client.token = made["root_token"]
    return made["recovery_keys"][0], made["root_token"]


def test_transit_of_a_stock_server(tmp_path):
    with openbao(tmp_path) as outer:
        outer.secrets.transit.create_key("unseal")
        policy = 'path "transit/+/unseal" { capabilities = ["update"] }'
        outer.sys.create_or_update_acl_policy("unseal", policy)
        token = outer.auth.token.create(policies=["unseal"], ttl="1h", no_parent=True)["auth"]["client_token"]
        seal = f'seal "transit" {{ address = "{outer.url}" token = "{token}" key_name = "unseal" }}'
        with keyfold(tmp_path, seal) as client:
            share, root = begin(client)
            assert not client.sys.is_sealed()
            client.sys.enable_secrets_engine("kv", "kv", options={"version": "2"})
            client.secrets.kv.v2.create_or_update_secret("a", {"b": "c"}, mount_point="kv")
        with keyfold(tmp_path, seal) as client:
            until(lambda: not client.sys.is_sealed(), "the other server opens it")
            client.token = root
            read = client.secrets.kv.v2.read_secret_version("a", mount_point="kv", raise_on_deleted_version=True)
            assert read["data"]["data"] == {"b": "c"}
        outer.auth.token.revoke(token)
        with keyfold(tmp_path, seal) as client:
            until(lambda: failing(client) == "refused", "a dead token is told")
            client.sys.submit_unseal_key(share)
            assert not client.sys.is_sealed()


@contextlib.contextmanager
def kms(folder: Path):
    """A KMS in memory; yields a client of it, and its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with open(folder / "moto.log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
        )
    try:
        client = boto3.client(
            "kms", endpoint_url=address, region_name="eu-west-1", aws_access_key_id="id", aws_secret_access_key="secret"
        )
        until(lambda: client.list_keys() is not None, "the KMS answers")
        yield client, address
    finally:
        process.kill()
        process.wait()


def test_kms(tmp_path):
    with kms(tmp_path) as (outer, address):
        key = outer.create_key()["KeyMetadata"]["KeyId"]
        seal = (
            f'seal "awskms" {{ region = "eu-west-1" kms_key_id = "{key}" endpoint = "{address}"\n'
            'access_key = "id" secret_key = "secret" }'
        )
        with keyfold(tmp_path, seal) as client:
            share, root = begin(client)
            assert not client.sys.is_sealed()
            client.token = root
            report = client.read("sys/seal-backend-status")["data"]["backends"][0]
            assert report["healthy"] and report["key_id"].endswith(key)
        with keyfold(tmp_path, seal) as client:
            until(lambda: not client.sys.is_sealed(), "the KMS opens it")
        with keyfold(tmp_path, seal.replace(key, "00000000-0000-0000-0000-000000000000")) as client:
            until(lambda: failing(client) == "refused", "a key that is not there is told")
            client.sys.submit_unseal_key(share)
            assert not client.sys.is_sealed()
    with keyfold(tmp_path, seal) as client:
        until(lambda: failing(client) == "down", "a KMS that is away is told")
        client.sys.submit_unseal_key(share)
        assert not client.sys.is_sealed()


def failing(client):
    return client.sys.read_seal_status()["seals_failing"][0]["condition"]
