"""Sealed values, opened by their description in docs/envelope-format.md alone: HKDF, CMAC and AES-GCM of `cryptography`."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

TESTDATA = Path(__file__).parents[2] / "crates" / "envelope" / "testdata"
DOCUMENT = json.loads((TESTDATA / "values.json").read_text())


def value_key(dek):
    return HKDFExpand(SHA512(), 32, b"keyfold/1 values").derive(dek)


def xaes_key(key, nonce):
    """The AES-256-GCM key of one message of XAES-256-GCM: CMAC in counter mode over the first half of its nonce."""

    def block(counter):
        cmac = CMAC(AES(key))
        cmac.update(bytes([0, counter]) + b"X\0" + nonce[:12])
        return cmac.finalize()

    return block(1) + block(2)


def additional_data(header, *parts):
    return header + b"".join(len(part).to_bytes(8, "big") + part for part in parts)


def opened(case):
    value = bytes.fromhex(case["value_hex"])
    header, nonce, sealed = value[:5], value[5:29], value[29:]
    if len(sealed) < 16 or header[0] != 1:
        return "NotAValue"
    if int.from_bytes(header[1:], "big") != case["dek_no"]:
        return "UnknownDek"
    aad = additional_data(
        header, case["table"].encode(), case["column"].encode(), bytes.fromhex(case["key_hex"])
    )
    key = xaes_key(value_key(bytes.fromhex(case["dek_hex"])), nonce)
    try:
        return AESGCM(key).decrypt(nonce[12:], sealed, aad)
    except InvalidTag:
        return "WrongKeyOrPlace"


@pytest.mark.parametrize("vector", DOCUMENT["vectors"], ids=lambda vector: vector["name"])
def test_a_value_opens(vector):
    assert opened(vector) == bytes.fromhex(vector["plaintext_hex"])
    encoded = base64.urlsafe_b64encode(bytes.fromhex(vector["value_hex"])).decode().rstrip("=")
    assert vector["text"] == "kf1:" + encoded


@pytest.mark.parametrize("case", DOCUMENT["damaged"], ids=lambda case: case["name"])
def test_a_damaged_value_does_not(case):
    assert opened(case) == case["outcome"]
