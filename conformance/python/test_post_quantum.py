"""Post-quantum keys: what the server makes, a library that knows nothing of it verifies and opens, and the other way round."""

import base64
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mlkem, x25519

INFO = b"keyfold/transit/kem/1"


def b64(data):
    return base64.b64encode(data).decode()


def payload(text):
    assert text.startswith("vault:v1:")
    return base64.b64decode(text.removeprefix("vault:v1:"))


class Transit:
    """The calls of a mount."""

    def __init__(self, root, path):
        self.adapter, self.path = root.adapter, path

    def ask(self, below, **body):
        return self.adapter.post(f"/v1/{self.path}/{below}", json=body)["data"]

    def export(self, part, name, form=""):
        answer = self.adapter.get(f"/v1/{self.path}/export/{part}/{name}", params={"format": form})
        return answer["data"]["keys"]["1"]


@pytest.fixture
def transit(root, mount):
    return Transit(root, mount("transit"))


def public_keys(key):
    """The blocks of PEM that stand for a key, loaded."""
    end = "-----END PUBLIC KEY-----\n"
    blocks = key["keys"]["1"]["public_key"].split(end)
    return [serialization.load_pem_public_key((block + end).encode()) for block in blocks if block]


@pytest.mark.parametrize("parameters", ["44", "65", "87"])
def test_ml_dsa_verifies_elsewhere(transit, parameters):
    key = transit.ask("keys/k", type="ml-dsa", parameter_set=parameters)
    signature = payload(transit.ask("sign/k", input=b64(b"hello"))["signature"])
    (public,) = public_keys(key)
    public.verify(signature, b"hello")


@pytest.mark.parametrize("curve", ["ed25519", "ecdsa-p256", "ecdsa-p521"])
def test_both_halves_of_a_hybrid_verify_elsewhere(transit, curve):
    key = transit.ask(
        "keys/k",
        type="hybrid",
        parameter_set="65",
        hybrid_key_type_pqc="ml-dsa",
        hybrid_key_type_ec=curve,
    )
    signature = payload(transit.ask("sign/k/sha2-512", input=b64(b"hello"))["signature"])
    first, second = public_keys(key)
    message = f"keyfold/hybrid/1/ml-dsa-65/{curve}".encode() + b"\0hello"
    first.verify(signature[:3309], message)
    if isinstance(second, ed25519.Ed25519PublicKey):
        second.verify(signature[3309:], message)
    else:
        second.verify(signature[3309:], message, ec.ECDSA(hashes.SHA512()))


def suite(kem):
    return hpke.Suite(kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def test_a_data_key_for_ml_kem_opens_elsewhere(transit):
    key = transit.ask("keys/k", type="ml-kem-768", exportable=True)
    dek = transit.ask("datakey/plaintext/k")
    private = serialization.load_pem_private_key(transit.export("encryption-key", "k", "pem").encode(), None)
    ours = suite(hpke.KEM.MLKEM768)
    assert b64(ours.decrypt(payload(dek["ciphertext"]), private, INFO)) == dek["plaintext"]
    (public,) = public_keys(key)
    sealed = ours.encrypt(b"hello", public, INFO)
    opened = transit.ask("decrypt/k", ciphertext="vault:v1:" + b64(sealed))
    assert opened["plaintext"] == b64(b"hello")


def test_a_data_key_for_x_wing_opens_elsewhere(transit):
    transit.ask("keys/k", type="x-wing", exportable=True)
    dek = transit.ask("datakey/plaintext/k")
    seed = base64.b64decode(transit.export("encryption-key", "k"))
    expanded = hashlib.shake_256(seed).digest(96)
    private = hpke.MLKEM768X25519PrivateKey(
        mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        x25519.X25519PrivateKey.from_private_bytes(expanded[64:]),
    )
    ours = suite(hpke.KEM.MLKEM768_X25519)
    assert b64(ours.decrypt(payload(dek["ciphertext"]), private, INFO)) == dek["plaintext"]
    sealed = ours.encrypt(b"hello", private.public_key(), INFO)
    opened = transit.ask("decrypt/k", ciphertext="vault:v1:" + b64(sealed))
    assert opened["plaintext"] == b64(b"hello")
