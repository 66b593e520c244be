"""Seals on what other people built: the transit engine of OpenBao, the KMS of moto."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
import hvac
import pytest

from stock import openbao

KEYFOLD = os.environ["KEYFOLD_BIN"]
REGION = "eu-west-1"


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
    # What the machine has of credentials is nothing to a test, nor is a service that gives some.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    kept |= {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(folder)}
    with open(folder / "keyfold.log", "ab") as log:
        command = [KEYFOLD, "server", f"-config={folder}/server.hcl"]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=kept)
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
            until(lambda: failing(client)["condition"] == "refused", "a dead token is told")
            client.sys.submit_unseal_key(share)
            assert not client.sys.is_sealed()


class Kms:
    """The KMS of moto, in memory: a process of its own, and clients of it."""

    def __init__(self, folder: Path):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        with open(folder / "moto.log", "wb") as log:
            command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.keys = self.client("kms")
        until(lambda: self.keys.list_keys() is not None, "the KMS answers")

    def client(self, service):
        return boto3.client(
            service,
            endpoint_url=self.address,
            region_name=REGION,
            aws_access_key_id="id",
            aws_secret_access_key="secret",
        )

    def key(self):
        return self.keys.create_key()["KeyMetadata"]["KeyId"]

    def everybody(self, may):
        """Whether everybody may do everything, or only who has a policy for it."""
        count = b"inf" if may else b"0"
        asked = urllib.request.Request(f"{self.address}/moto-api/reset-auth", count, {"Content-Type": "text/plain"})
        urllib.request.urlopen(asked).close()

    def seal(self, key, user=("id", "secret")):
        credentials = 'access_key = "{}" secret_key = "{}"'.format(*user) if user else ""
        return (
            f'seal "awskms" {{ region = "{REGION}" kms_key_id = "{key}" endpoint = "{self.address}"\n'
            f"{credentials} }}"
        )

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def kms(tmp_path):
    running = Kms(tmp_path)
    yield running
    running.stop()


def test_kms_opens(kms, tmp_path):
    key = kms.key()
    with keyfold(tmp_path, kms.seal(key)) as client:
        begin(client)
        assert not client.sys.is_sealed()
        assert wrapped_by(client).endswith(key)
    with keyfold(tmp_path, kms.seal(key)) as client:
        until(lambda: not client.sys.is_sealed(), "the KMS opens it")


def test_kms_that_does_not_open(kms, tmp_path):
    key, other = kms.key(), kms.key()
    nobody = kms.client("iam")
    nobody.create_user(UserName="nobody")
    nobody = nobody.create_access_key(UserName="nobody")["AccessKey"]
    nobody = (nobody["AccessKeyId"], nobody["SecretAccessKey"])
    with keyfold(tmp_path, kms.seal(key)) as client:
        share, root = begin(client)

    def told(seal, condition, reason, then=lambda client: None):
        with keyfold(tmp_path, seal) as client:
            until(lambda: failing(client)["condition"] == condition, f"{reason}: {condition}")
            assert reason in failing(client)["reason"]
            client.sys.submit_unseal_key(share)
            assert not client.sys.is_sealed()
            client.token = root
            then(client)

    told(kms.seal("00000000-0000-0000-0000-000000000000"), "refused", "it has no such key")
    told(kms.seal(key, user=None), "refused", "no credentials")
    kms.everybody(False)
    told(kms.seal(key, user=("stranger", "secret")), "refused", "the credentials are not let in")
    told(kms.seal(key, user=nobody), "refused", "the credentials are not let in")
    kms.everybody(True)
    # The unseal with the share has it wrapped by the other key.
    rewrapped = lambda client: until(lambda: wrapped_by(client).endswith(other), "it is wrapped anew")
    told(kms.seal(other), "foreign", "the wrap is of another key", then=rewrapped)
    with keyfold(tmp_path, kms.seal(other)) as client:
        until(lambda: not client.sys.is_sealed(), "the other key opens it")
    kms.stop()
    told(kms.seal(other), "down", "the KMS can't be reached")


def test_kms_whose_alias_moves_on(kms, tmp_path):
    old, new = kms.key(), kms.key()
    kms.keys.create_alias(AliasName="alias/unseal", TargetKeyId=old)
    with keyfold(tmp_path, kms.seal("alias/unseal")) as client:
        _, root = begin(client)
        assert wrapped_by(client).endswith(old)
    kms.keys.update_alias(AliasName="alias/unseal", TargetKeyId=new)
    with keyfold(tmp_path, kms.seal("alias/unseal")) as client:
        until(lambda: not client.sys.is_sealed(), "the old key opens it still")
        client.token = root
        until(lambda: wrapped_by(client).endswith(new), "it is wrapped by the new one")


def wrapped_by(client):
    report = client.read("sys/seal-backend-status")["data"]["backends"][0]
    assert report["healthy"]
    return report["key_id"]


def failing(client):
    return client.sys.read_seal_status()["seals_failing"][0]
