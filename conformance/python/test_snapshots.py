"""Backups by the calls that hvac has for raft storage."""

import hvac
import pytest


def begun(fresh):
    client = fresh.client()
    answer = client.sys.initialize(secret_shares=1, secret_threshold=1)
    client.sys.submit_unseal_key(answer["keys"][0])
    client.token = answer["root_token"]
    client.sys.enable_secrets_engine("kv", path="kv", options={"version": "1"})
    client.secrets.kv.v1.create_or_update_secret("app", {"v": "then"}, mount_point="kv")
    return client, answer


def value(client):
    return client.secrets.kv.v1.read_secret("app", mount_point="kv")["data"]["v"]


def test_taken_and_restored(fresh):
    client, answer = begun(fresh)
    taken = client.sys.take_raft_snapshot()
    assert taken.status_code == 200
    snapshot = taken.content
    assert snapshot.startswith(b"\x89KFSN")
    client.secrets.kv.v1.create_or_update_secret("app", {"v": "now"}, mount_point="kv")

    with pytest.raises(hvac.exceptions.InvalidRequest, match="cut off"):
        client.sys.restore_raft_snapshot(snapshot[:-1])
    with pytest.raises(hvac.exceptions.InvalidRequest, match="no snapshot"):
        client.sys.force_restore_raft_snapshot(b"something else")
    assert value(client) == "now"

    client.sys.restore_raft_snapshot(snapshot)
    assert client.sys.is_sealed()
    client.sys.submit_unseal_key(answer["keys"][0])
    assert value(client) == "then"
    client.sys.force_restore_raft_snapshot(snapshot)
    client.sys.submit_unseal_key(answer["keys"][0])
    assert value(client) == "then"
