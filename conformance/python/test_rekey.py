"""New shares and a new root token by those who hold shares, as hvac asks for them."""

import base64

import hvac
import pytest


def opened(fresh):
    client = fresh.client()
    made = client.sys.initialize(secret_shares=3, secret_threshold=2)
    client.sys.submit_unseal_keys(made["keys"][:2])
    client.token = made["root_token"]
    return client, made["keys"]


def test_rekey(fresh):
    client, keys = opened(fresh)
    begun = client.sys.start_rekey(secret_shares=2, secret_threshold=2)
    assert client.sys.read_rekey_progress()["nonce"] == begun["nonce"]
    client.sys.rekey(key=keys[0], nonce=begun["nonce"])
    assert client.sys.read_rekey_progress()["progress"] == 1
    client.sys.cancel_rekey()
    begun = client.sys.start_rekey(secret_shares=2, secret_threshold=2)
    made = client.sys.rekey_multi(keys[:2], nonce=begun["nonce"])
    assert made["complete"] is True and len(made["keys"]) == 2
    client.sys.seal()
    client.sys.submit_unseal_keys(made["keys"])
    assert client.sys.is_sealed() is False
    client.sys.seal()
    # The old ones are refused one by one, and count for nothing.
    with pytest.raises(hvac.exceptions.InvalidRequest, match="a share of before"):
        client.sys.submit_unseal_key(keys[0])
    assert client.sys.read_seal_status()["progress"] == 0


def test_a_root_token(fresh):
    client, keys = opened(fresh)
    pad = "a" * client.sys.read_root_generation_progress()["otp_length"]
    begun = client.sys.start_root_token_generation(otp=pad)
    client.sys.generate_root(keys[0], begun["nonce"])
    made = client.sys.generate_root(keys[1], begun["nonce"])
    assert made["complete"] is True
    covered = base64.b64decode(made["encoded_root_token"] + "==")
    client.token = bytes(a ^ b for a, b in zip(covered, pad.encode())).decode()
    assert client.auth.token.lookup_self()["data"]["policies"] == ["root"]
