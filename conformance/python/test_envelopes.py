"""Envelopes read and written by their description in docs/envelope-format.md alone; the payload by Cobblestone-256 of `cryptography`."""

import base64
import hashlib
import json
import os
import struct
import subprocess
from pathlib import Path

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from test_values import xaes_key

TESTDATA = Path(__file__).parents[2] / "crates" / "envelope" / "testdata"
DOCUMENT = json.loads((TESTDATA / "vectors.json").read_text())
PLAIN = [0, 1, 16_383, 16_384, 16_385, 300_000]


def filler(name, length):
    """As the document says."""
    blocks = (hashlib.sha256(name.encode() + n.to_bytes(8, "big")).digest() for n in range(length // 32 + 1))
    return b"".join(blocks)[:length]


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def context_hash(pairs):
    """Section 2.1."""
    if not pairs:
        return bytes(32)
    parts = [part.encode() for pair in sorted(pairs.items(), key=lambda pair: pair[0].encode()) for part in pair]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def prelude(object_id, pairs, labels=()):
    """Section 2; `labels` are tag and text, ascending."""
    text = b"".join(bytes([tag, len(label.encode())]) + label.encode() for tag, label in labels)
    head = b"\x89KFLD\r\n\x1a" + bytes([1, 1, 9, 6, 0, 0, 0, 0]) + object_id + context_hash(pairs)
    return (head + text).ljust(512, b"\0")


def slot(cluster_id, locator, version, blob, bound, state=1, time=0, generation=1):
    """Section 3, type 1."""
    mount, name = locator.rsplit("/", 1)
    kek_id = hashlib.sha256(b"\0".join(part.encode() for part in (cluster_id, mount, name))).digest()[:16]
    at = locator.encode()
    body = struct.pack(">BBBBIQ", state, 1, 1, bound, version, time) + kek_id
    body += bytes([len(at)]) + at.ljust(127, b"\0") + struct.pack(">H", len(blob)) + blob
    body = body.ljust(504, b"\0") + struct.pack(">I", generation)
    return body + struct.pack(">I", crc32c(body))


def slots(header):
    """Section 3.1: sector and bytes of each good slot."""
    sectors, found = [header[512 + 512 * n:1024 + 512 * n] for n in range(6)], []
    at = 0
    while at < 6:
        span = sectors[at][2]
        whole = b"".join(sectors[at:at + span])
        good = 1 <= span <= 6 - at and crc32c(whole[:-4]) == int.from_bytes(whole[-4:], "big")
        if good and sectors[at] != bytes(512):
            found.append((at, whole))
        at += span if good else 1
    return found


def blob_of(whole):
    return whole[162:162 + int.from_bytes(whole[160:162], "big")]


def opened(dek, envelope):
    """Section 4: what stands behind byte 4040 is a message of Cobblestone's."""
    decryptor = Cobblestone256Decryptor(dek, b"keyfold/1" + envelope[:512])
    return decryptor.update(envelope[4040:]) + decryptor.finalize()


def sealed(dek, front, table, plain):
    encryptor = Cobblestone256Encryptor(dek, b"keyfold/1" + front)
    return (front + table).ljust(4040, b"\0") + encryptor.update(plain) + encryptor.finalize()


@pytest.mark.parametrize("vector", DOCUMENT["vectors"] + DOCUMENT["offline"], ids=lambda vector: vector["name"])
def test_a_published_envelope_is_as_described(vector):
    name, dek = vector["name"], bytes.fromhex(vector["dek_hex"])
    front = bytes.fromhex(vector["prelude_hex"])
    tags = {"service": 1, "tenant": 2, "purpose": 3}
    labels = sorted((tags[label], text) for label, text in vector["labels"].items() if text)
    assert front == prelude(filler(f"id {name}", 16), vector["context"], labels)
    aad = hashlib.sha256(front).digest()
    table = bytearray(3072)
    for one in vector["slots"]:
        at, whole = 512 * one["sector"], bytes.fromhex(one["bytes_hex"])
        table[at:at + len(whole)] = whole
        blob, bound = blob_of(whole), whole[3] & 1
        state = {"active": 1, "pending": 2, "retired": 3}[one["state"]]
        time, generation = int.from_bytes(whole[8:16], "big"), one["generation"]
        assert whole == slot(DOCUMENT["cluster_id"], vector["locator"], one["version"], blob, bound, state, time, generation)
        kek = AESGCM(bytes.fromhex(one["kek_hex"]))
        assert kek.decrypt(blob[:12], blob[12:], aad if bound else None) == dek
    for one in vector.get("offline_slots", []):
        at, whole = 512 * one["sector"], bytes.fromhex(one["bytes_hex"])
        table[at:at + len(whole)] = whole
    assert len(slots(bytes(512) + table)) == len(vector["slots"]) + len(vector.get("offline_slots", []))
    plain = filler(name, vector["plaintext_len"])
    assert hashlib.sha256(plain).hexdigest() == vector["plaintext_sha256"]
    if chunks := vector.get("chunks_hex"):
        head = bytes.fromhex(vector["salt_hex"] + vector["commitment_hex"])
        envelope = (front + table).ljust(4040, b"\0") + head + bytes.fromhex(chunks)
        assert hashlib.sha256(envelope).hexdigest() == vector["file_sha256"]
        assert opened(dek, envelope) == plain


@pytest.mark.parametrize("vector", DOCUMENT["detached"], ids=lambda vector: vector["name"])
def test_a_published_detached_header_opens_its_payload(vector):
    """Section 1.1."""
    name, dek = vector["name"], bytes.fromhex(vector["dek_hex"])
    front = bytearray(prelude(filler(f"id {name}", 16), vector["context"]))
    front[12] = 1
    assert bytes(front) == bytes.fromhex(vector["prelude_hex"])
    plain = filler(name, vector["plaintext_len"])
    [one] = vector["slots"]
    head = bytes.fromhex(vector["salt_hex"] + vector["commitment_hex"])
    header = (bytes(front) + bytes.fromhex(one["bytes_hex"])).ljust(4040, b"\0") + head
    assert hashlib.sha256(header).hexdigest() == vector["header_sha256"]
    if chunks := vector.get("chunks_hex"):
        payload = head + bytes.fromhex(chunks)
        assert hashlib.sha256(payload).hexdigest() == vector["payload_sha256"]
        decryptor = Cobblestone256Decryptor(dek, b"keyfold/1" + bytes(front))
        assert decryptor.update(payload) + decryptor.finalize() == plain


def test_a_published_keyring_opens_its_envelope():
    """Sections 9 and 9.3."""
    [vector] = DOCUMENT["keyring"]
    ring, front = vector["keyring"], bytes.fromhex(vector["prelude_hex"])
    service = ring["document"]["service"].encode()
    [row] = ring["document"]["deks"]
    named, dek_id = len(service).to_bytes(8, "big") + service, bytes.fromhex(row["dek_id"])
    wrap = base64.b64decode(row["wrapped"])
    aad = hashlib.sha256(b"keyfold/1 keyring" + named + dek_id).digest()
    service_dek = AESGCM(bytes.fromhex(ring["kek_hex"])).decrypt(wrap[:12], wrap[12:], aad)
    commits = b"keyfold/1 commit" + named + row["dek_no"].to_bytes(4, "big") + dek_id
    assert HKDFExpand(SHA512(), 32, commits).derive(service_dek).hex() == row["commitment"]
    whole = bytes.fromhex(ring["bytes_hex"])
    assert whole[:4] == bytes([1, 2, 1, 1]) and int.from_bytes(whole[4:8], "big") == row["dek_no"]
    blob = blob_of(whole)
    nonce, sealed, place = blob[16:40], blob[40:88], blob[88:]
    assert blob[:16] == dek_id and place == b"payments.keyring"
    key = xaes_key(HKDFExpand(SHA512(), 32, b"keyfold/1 objects").derive(service_dek), nonce)
    dek = AESGCM(key).decrypt(nonce[12:], sealed, hashlib.sha256(front).digest() + dek_id)
    assert dek.hex() == vector["dek_hex"]
    head = bytes.fromhex(vector["salt_hex"] + vector["commitment_hex"])
    envelope = (front + whole).ljust(4040, b"\0") + head + bytes.fromhex(vector["chunks_hex"])
    assert hashlib.sha256(envelope).hexdigest() == vector["file_sha256"]
    assert opened(dek, envelope) == filler(vector["name"], vector["plaintext_len"])


@pytest.fixture
def keyfold(server, root, mount, tmp_path):
    path = mount("transit")
    root.secrets.transit.create_key("files", mount_point=path)

    def run(*arguments, code=0):
        environment = {**os.environ, "VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token, "HOME": str(tmp_path)}
        done = subprocess.run([os.environ["KEYFOLD_BIN"], *map(str, arguments)], env=environment, capture_output=True)
        assert done.returncode == code, done.stderr.decode()
        return done.stdout

    run.locator, run.transit, run.mount = f"{path}/files", root.secrets.transit, path
    run.cluster_id = root.sys.read_health_status(method="GET")["cluster_id"]
    return run


@pytest.mark.parametrize("size", PLAIN)
def test_what_keyfold_writes_opens_by_the_page(keyfold, tmp_path, size):
    plain = os.urandom(size)
    (tmp_path / "in").write_bytes(plain)
    keyfold("encrypt", "--key", keyfold.locator, "--context", "team=a", "--label-service", "pay", "-o", tmp_path / "kf", tmp_path / "in")
    envelope = (tmp_path / "kf").read_bytes()
    assert envelope[:512] == prelude(envelope[16:32], {"team": "a"}, [(1, "pay")])
    [(sector, whole)] = slots(envelope[:4096])
    time = int.from_bytes(whole[8:16], "big")
    assert sector == 0 and whole == slot(keyfold.cluster_id, keyfold.locator, 1, blob_of(whole), 1, time=time)
    dek = keyfold.transit.decrypt_data(
        "files", "vault:v1:" + base64.b64encode(blob_of(whole)).decode(), mount_point=keyfold.mount,
        associated_data=base64.b64encode(hashlib.sha256(envelope[:512]).digest()).decode(),
    )["data"]["plaintext"]
    assert opened(base64.b64decode(dek), envelope) == plain
    with pytest.raises(InvalidTag):
        opened(base64.b64decode(dek), envelope[:-1])


@pytest.mark.parametrize("size", PLAIN)
def test_what_the_page_writes_opens_by_keyfold(keyfold, tmp_path, size):
    plain, dek = os.urandom(size), os.urandom(32)
    front = prelude(os.urandom(16), {"team": "a"}, [(1, "pay")])
    wrap = keyfold.transit.encrypt_data(
        "files", base64.b64encode(dek).decode(), mount_point=keyfold.mount,
        associated_data=base64.b64encode(hashlib.sha256(front).digest()).decode(),
    )["data"]["ciphertext"]
    blob = base64.b64decode(wrap.removeprefix("vault:v1:"))
    envelope = sealed(dek, front, slot(keyfold.cluster_id, keyfold.locator, 1, blob, 1), plain)
    (tmp_path / "kf").write_bytes(envelope)
    keyfold("decrypt", "--context", "team=a", "-o", tmp_path / "out", tmp_path / "kf")
    assert (tmp_path / "out").read_bytes() == plain
    keyfold.transit.rotate_key("files", mount_point=keyfold.mount)
    keyfold("rewrap", "--verify=full", tmp_path / "kf")
    keyfold("decrypt", "--context", "team=a", "-o", tmp_path / "again", tmp_path / "kf")
    assert (tmp_path / "again").read_bytes() == plain
