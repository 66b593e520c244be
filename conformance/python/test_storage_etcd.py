"""A server whose store is a real etcd: what clients see of it."""

import os
import subprocess
import urllib.request

import etcd as debian_etcd
import pytest
from conftest import running


@pytest.fixture(scope="module")
def etcd():
    with debian_etcd.running() as running:
        yield running


def storage(etcd, more=""):
    return f'storage "etcd" {{\n  endpoints = "{etcd.url}"\n  {more}\n}}'


def test_what_was_written_is_there_after_a_kill(etcd, tmp_path):
    stanza = storage(etcd, more='prefix = "killed"')
    with running(tmp_path, stanza) as server:
        client = server.client()
        answer = client.sys.initialize(secret_shares=1, secret_threshold=1)
        keys, token = answer["keys"], answer["root_token"]
        client.sys.submit_unseal_keys(keys)
        client = server.client(token)
        assert client.seal_status["storage_type"] == "etcd"
        client.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
        for number in range(20):
            client.secrets.kv.v2.create_or_update_secret(f"app/{number}", {"n": number}, mount_point="kv")
        large = "x" * 900_000
        client.secrets.kv.v2.create_or_update_secret("large", {"n": large}, mount_point="kv")
    with running(tmp_path, stanza) as server:
        server.client().sys.submit_unseal_keys(keys)
        client = server.client(token)
        listed = client.secrets.kv.v2.list_secrets("app", mount_point="kv")["data"]["keys"]
        assert listed == sorted(map(str, range(20)))
        for path, wanted in (("app/7", 7), ("large", large)):
            read = client.secrets.kv.v2.read_secret_version(path, mount_point="kv", raise_on_deleted_version=True)
            assert read["data"]["data"] == {"n": wanted}


@pytest.mark.parametrize(
    "more, reason",
    [
        ('prefix = "foreign"', "not this program's"),
        ('username = "ann"', "go together"),
        ('prefixx = "x"', 'unknown setting "prefixx"'),
    ],
)
def test_what_is_no_store_is_refused_at_the_start(etcd, tmp_path, more, reason):
    # "foreign/a", in base64, as the other door of etcd has it.
    put = urllib.request.Request(f"{etcd.url}/v3/kv/put", b'{"key": "Zm9yZWlnbi9h", "value": "eA=="}')
    urllib.request.urlopen(put).close()
    config = tmp_path / "server.hcl"
    listener = 'listener "tcp" {\n  address = "127.0.0.1:0"\n  tls_disable = true\n}\n'
    config.write_text(listener + storage(etcd, more))
    done = subprocess.run(
        [os.environ["KEYFOLD_BIN"], "server", f"-config={config}"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert reason in done.stderr, done.stderr
