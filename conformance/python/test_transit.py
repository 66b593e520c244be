"""Transit: keys, encryption, rotation, data keys."""

import base64

import hvac
import pytest


def b64(text):
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def transit(root, mount):
    """hvac's transit calls, on a mount of the test's own."""
    path = mount("transit")
    engine = root.secrets.transit

    class Calls:
        def __getattr__(self, name):
            call = getattr(engine, name)
            return lambda *arguments, **named: call(*arguments, mount_point=path, **named)

    return Calls()


# hvac itself refuses aes128-gcm96; the Go client does not.
@pytest.mark.parametrize("kind", ["aes256-gcm96", "chacha20-poly1305"])
def test_what_is_encrypted_decrypts(transit, kind):
    transit.create_key("k", key_type=kind)
    assert transit.read_key("k")["data"]["type"] == kind
    assert transit.list_keys()["data"]["keys"] == ["k"]
    sealed = transit.encrypt_data("k", plaintext=b64("hello"), associated_data=b64("row 7"))["data"]
    assert sealed["ciphertext"].startswith("vault:v1:")
    opened = transit.decrypt_data("k", sealed["ciphertext"], associated_data=b64("row 7"))["data"]
    assert opened["plaintext"] == b64("hello")
    with pytest.raises(hvac.exceptions.InvalidRequest):
        transit.decrypt_data("k", sealed["ciphertext"])


def test_batches(transit):
    transit.create_key("k")
    items = [{"plaintext": b64(text), "reference": text} for text in ("one", "two")]
    sealed = transit.encrypt_data("k", batch_input=items)["data"]["batch_results"]
    assert [item["reference"] for item in sealed] == ["one", "two"]
    items = [{"ciphertext": item["ciphertext"]} for item in sealed]
    opened = transit.decrypt_data("k", "", batch_input=items)["data"]["batch_results"]
    assert [item["plaintext"] for item in opened] == [b64("one"), b64("two")]


def test_rewrap_after_rotation_and_retiring_a_version(transit):
    transit.create_key("k")
    old = transit.encrypt_data("k", plaintext=b64("hello"))["data"]["ciphertext"]
    transit.rotate_key("k")
    assert transit.read_key("k")["data"]["latest_version"] == 2
    new = transit.rewrap_data("k", old)["data"]["ciphertext"]
    assert new.startswith("vault:v2:")
    rewrapped = transit.rewrap_data("k", "", batch_input=[{"ciphertext": old}])["data"]["batch_results"]
    assert rewrapped[0]["ciphertext"].startswith("vault:v2:")
    transit.update_key_configuration("k", min_decryption_version=2)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="too old"):
        transit.decrypt_data("k", old)
    assert transit.decrypt_data("k", new)["data"]["plaintext"] == b64("hello")


def test_derived_keys_need_their_context(transit):
    transit.create_key("k", derived=True)
    sealed = transit.encrypt_data("k", plaintext=b64("hello"), context=b64("A"))["data"]["ciphertext"]
    assert transit.decrypt_data("k", sealed, context=b64("A"))["data"]["plaintext"] == b64("hello")
    for context in (b64("B"), None):
        with pytest.raises(hvac.exceptions.InvalidRequest):
            transit.decrypt_data("k", sealed, context=context)


def test_data_keys(transit):
    transit.create_key("k")
    data = transit.generate_data_key("k", key_type="plaintext")["data"]
    assert len(base64.b64decode(data["plaintext"])) == 32
    assert transit.decrypt_data("k", data["ciphertext"])["data"]["plaintext"] == data["plaintext"]
    wrapped = transit.generate_data_key("k", key_type="wrapped", bits=512)["data"]
    assert "plaintext" not in wrapped
    opened = transit.decrypt_data("k", wrapped["ciphertext"])["data"]["plaintext"]
    assert len(base64.b64decode(opened)) == 64


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa-p256", "ecdsa-p384", "rsa-2048"])
def test_what_is_signed_verifies(transit, kind):
    transit.create_key("k", key_type=kind)
    signature = transit.sign_data("k", b64("hello"))["data"]["signature"]
    assert signature.startswith("vault:v1:")
    assert transit.verify_signed_data("k", b64("hello"), signature=signature)["data"]["valid"]
    assert not transit.verify_signed_data("k", b64("hallo"), signature=signature)["data"]["valid"]


def test_signatures_of_rsa_in_both_schemes(transit):
    transit.create_key("k", key_type="rsa-2048")
    for scheme in ("pss", "pkcs1v15"):
        asked = {"hash_algorithm": "sha2-512", "signature_algorithm": scheme}
        signature = transit.sign_data("k", b64("hello"), **asked)["data"]["signature"]
        verify = transit.verify_signed_data
        assert verify("k", b64("hello"), signature=signature, **asked)["data"]["valid"]
        other = {**asked, "signature_algorithm": "pkcs1v15" if scheme == "pss" else "pss"}
        assert not verify("k", b64("hello"), signature=signature, **other)["data"]["valid"]


def test_signatures_as_in_web_tokens(transit):
    transit.create_key("k", key_type="ecdsa-p256")
    jws = {"marshaling_algorithm": "jws"}
    signature = transit.sign_data("k", b64("hello"), **jws)["data"]["signature"]
    raw = base64.urlsafe_b64decode(signature.removeprefix("vault:v1:") + "==")
    assert len(raw) == 64
    assert transit.verify_signed_data("k", b64("hello"), signature=signature, **jws)["data"]["valid"]


def test_tags_verify(transit):
    transit.create_key("k")
    tag = transit.generate_hmac("k", b64("hello"), algorithm="sha2-384")["data"]["hmac"]
    asked = {"hmac": tag, "hash_algorithm": "sha2-384"}
    assert transit.verify_signed_data("k", b64("hello"), **asked)["data"]["valid"]
    assert not transit.verify_signed_data("k", b64("hallo"), **asked)["data"]["valid"]


def test_a_backup_brings_a_key_back(transit):
    transit.create_key("k", exportable=True, allow_plaintext_backup=True)
    sealed = transit.encrypt_data("k", plaintext=b64("hello"))["data"]["ciphertext"]
    backup = transit.backup_key("k")["data"]["backup"]
    transit.restore_key(backup, name="again")
    assert transit.decrypt_data("again", sealed)["data"]["plaintext"] == b64("hello")
    one, other = (transit.export_key(name, key_type="encryption-key")["data"]["keys"] for name in ("k", "again"))
    assert one == other


def test_deletion_must_be_allowed(transit):
    transit.create_key("k")
    with pytest.raises(hvac.exceptions.InvalidRequest):
        transit.delete_key("k")
    transit.update_key_configuration("k", deletion_allowed=True)
    transit.delete_key("k")
    with pytest.raises(hvac.exceptions.InvalidPath):
        transit.read_key("k")
