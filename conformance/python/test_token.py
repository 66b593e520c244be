"""Tokens: made, looked up, renewed and revoked, with their tree and by accessor."""

import hvac
import pytest


def test_create_and_look_up(root, server):
    auth = root.auth.token.create(
        policies=["default"], ttl="1h", meta={"team": "x"}, num_uses=5, display_name="hvac"
    )["auth"]
    assert auth["policies"] == ["default"]
    assert auth["lease_duration"] == 3600
    data = root.auth.token.lookup(auth["client_token"])["data"]
    assert data["meta"] == {"team": "x"}
    assert data["num_uses"] == 5
    assert data["orphan"] is False
    assert root.auth.token.lookup_accessor(auth["accessor"])["data"]["accessor"] == auth["accessor"]
    assert auth["accessor"] in root.auth.token.list_accessors()["data"]["keys"]
    own = server.client(auth["client_token"]).auth.token.lookup_self()["data"]
    assert own["num_uses"] == 4


def test_renew(root, server):
    auth = root.auth.token.create(policies=["default"], ttl="1h", explicit_max_ttl="3h")["auth"]
    client = server.client(auth["client_token"])
    assert client.auth.token.renew_self(increment="30m")["auth"]["lease_duration"] == 1800
    assert root.auth.token.renew(auth["client_token"], increment="2h")["auth"]["lease_duration"] == 7200
    assert root.auth.token.renew_accessor(auth["accessor"], increment="20m")["auth"]["lease_duration"] == 1200
    capped = root.auth.token.renew(auth["client_token"], increment="9h")
    assert capped["auth"]["lease_duration"] <= 3 * 3600
    assert capped["warnings"]
    periodic = root.auth.token.create(policies=["default"], period="10m")["auth"]
    assert root.auth.token.renew(periodic["client_token"])["auth"]["lease_duration"] == 600


def test_revoking_takes_the_tree(root, server):
    root.sys.create_or_update_acl_policy(
        "hvac-maker", 'path "auth/token/create" { capabilities = ["create", "update"] }'
    )
    parent = root.auth.token.create(policies=["hvac-maker"])["auth"]
    child = server.client(parent["client_token"]).auth.token.create(policies=["hvac-maker"])["auth"]
    leaf = server.client(child["client_token"]).auth.token.create(policies=["default"])["auth"]
    root.auth.token.revoke(parent["client_token"])
    for auth in (parent, child, leaf):
        with pytest.raises(hvac.exceptions.Forbidden):
            server.client(auth["client_token"]).auth.token.lookup_self()


def test_orphans_and_other_ways_to_revoke(root, server):
    orphan = root.auth.token.create_orphan(policies=["default"])["auth"]
    assert orphan["orphan"] is True
    root.auth.token.revoke_accessor(orphan["accessor"])
    assert not server.client(orphan["client_token"]).is_authenticated()
    own = root.auth.token.create(policies=["default"])["auth"]["client_token"]
    server.client(own).auth.token.revoke_self()
    assert not server.client(own).is_authenticated()


def test_no_token_is_forbidden(server):
    with pytest.raises(hvac.exceptions.Forbidden, match="permission denied"):
        server.client().sys.list_mounted_secrets_engines()
    with pytest.raises(hvac.exceptions.Forbidden):
        server.client("hvs.nosuchtokennosuchtoken").sys.list_mounted_secrets_engines()
