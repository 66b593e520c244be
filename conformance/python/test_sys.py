"""The life of a server, its mounts, its policies, as hvac sees them."""

import hvac
import pytest


def test_from_nothing_to_open_and_sealed_again(fresh):
    client = fresh.client()
    assert client.sys.is_initialized() is False
    assert client.sys.read_seal_status()["sealed"] is True
    answer = client.sys.initialize(secret_shares=5, secret_threshold=3)
    assert len(answer["keys"]) == len(answer["keys_base64"]) == 5
    assert client.sys.is_initialized() is True
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.initialize(secret_shares=5, secret_threshold=3)

    keys = answer["keys"]
    assert client.sys.submit_unseal_key(keys[4])["progress"] == 1
    assert client.sys.submit_unseal_key(keys[4])["progress"] == 1
    assert client.sys.submit_unseal_key(reset=True)["progress"] == 0
    client.sys.submit_unseal_keys(keys[1:3])
    assert client.sys.is_sealed() is True
    assert client.sys.submit_unseal_key(answer["keys_base64"][0])["sealed"] is False

    client.token = answer["root_token"]
    assert client.is_authenticated()
    client.sys.seal()
    assert client.sys.is_sealed() is True
    with pytest.raises(hvac.exceptions.VaultDown):
        client.sys.list_mounted_secrets_engines()


def test_health(root, fresh):
    health = root.sys.read_health_status(method="GET")
    assert health["initialized"] is True and health["sealed"] is False
    assert root.sys.read_health_status(method="HEAD").status_code == 200
    assert fresh.client().sys.read_health_status(method="HEAD").status_code == 501


def test_mounts(root):
    root.sys.enable_secrets_engine("kv", path="team/one", options={"version": "2"})
    listed = root.sys.list_mounted_secrets_engines()
    assert listed["team/one/"]["type"] == "kv"
    assert listed["data"]["team/one/"]["options"] == {"version": "2"}
    root.sys.tune_mount_configuration("team/one", default_lease_ttl="1h", max_lease_ttl="2h")
    tuned = root.sys.read_mount_configuration("team/one")["data"]
    assert (tuned["default_lease_ttl"], tuned["max_lease_ttl"]) == (3600, 7200)
    root.sys.disable_secrets_engine("team/one")
    assert "team/one/" not in root.sys.list_mounted_secrets_engines()["data"]


POLICY = 'path "secret/data/app/*" { capabilities = ["read", "create"] }'


def test_policies_of_the_old_family(root):
    root.sys.create_or_update_policy("hvac-old", POLICY)
    assert "hvac-old" in root.sys.list_policies()["data"]["policies"]
    assert root.sys.read_policy("hvac-old")["data"]["rules"] == POLICY
    root.sys.delete_policy("hvac-old")
    with pytest.raises(hvac.exceptions.InvalidPath):
        root.sys.read_policy("hvac-old")


def test_policies_of_the_new_family(root):
    root.sys.create_or_update_acl_policy("hvac-new", POLICY)
    assert "hvac-new" in root.sys.list_acl_policies()["data"]["keys"]
    assert root.sys.read_acl_policy("hvac-new")["data"] == {"name": "hvac-new", "policy": POLICY}
    as_object = {"path": {"secret/data/b": {"capabilities": ["list"]}}}
    root.sys.create_or_update_acl_policy("hvac-new", as_object)
    with pytest.raises(hvac.exceptions.InvalidRequest):
        root.sys.create_or_update_acl_policy("hvac-new", 'path "a" { capabilities = ["fly"] }')
    root.sys.delete_acl_policy("hvac-new")
    with pytest.raises(hvac.exceptions.InvalidPath):
        root.sys.read_acl_policy("hvac-new")


def test_capabilities(root, server):
    root.sys.create_or_update_acl_policy("hvac-caps", POLICY)
    token = root.auth.token.create(policies=["hvac-caps"])["auth"]["client_token"]
    client = server.client(token)
    answer = client.sys.get_capabilities(paths=["secret/data/app/x", "other"])
    assert answer["data"]["secret/data/app/x"] == ["create", "read"]
    assert answer["data"]["other"] == ["deny"]
    assert root.sys.get_capabilities(paths=["x"])["capabilities"] == ["root"]


def test_leader_and_rotation_of_the_keyring(root):
    assert root.sys.read_leader_status()["ha_enabled"] is False
    term = root.sys.get_encryption_key_status()["data"]["term"]
    root.sys.rotate_encryption_key()
    assert root.sys.get_encryption_key_status()["data"]["term"] == term + 1
