"""The data plane below a stock server: keyfold's files with a key that OpenBao itself holds."""

import json
import os
import subprocess

import pytest

PAYLOAD = os.urandom(300_000)


@pytest.fixture
def keyfold(stock, tmp_path):
    """Runs keyfold's command line against the stock server."""

    def run(*arguments, code=0, stdin=None):
        environment = {**os.environ, "VAULT_ADDR": stock.url, "VAULT_TOKEN": "root", "HOME": str(tmp_path)}
        done = subprocess.run(
            [os.environ["KEYFOLD_BIN"], *map(str, arguments)], env=environment, input=stdin, capture_output=True
        )
        assert done.returncode == code, done.stderr.decode()
        return done.stdout

    return run


def test_a_file_is_encrypted_rewrapped_and_decrypted(stock, keyfold, tmp_path):
    stock.secrets.transit.create_key("payments")
    plain, sealed, back = tmp_path / "in.bin", tmp_path / "tree" / "in.kf", tmp_path / "out.bin"
    plain.write_bytes(PAYLOAD)
    sealed.parent.mkdir()
    keyfold("encrypt", "--key", "transit/payments", "--context", "team=a", "-o", sealed, plain)
    before = sealed.read_bytes()
    stock.secrets.transit.rotate_key("payments")
    keyfold("rewrap", sealed.parent)
    slots = json.loads(keyfold("inspect", "-format=json", sealed))["slots"]
    assert [(slot["state"], slot["version"]) for slot in slots] == [("retired", 1), ("active", 2)]
    assert not any(slot["aad_bound"] for slot in slots), "a stock server's rewrap takes no associated data"
    after = sealed.read_bytes()
    assert before != after and before[4096:] == after[4096:], "rewrapping leaves the payload alone"
    # What was wrapped by the old version is retired; the rewrapped file does not need it.
    stock.secrets.transit.update_key_configuration("payments", min_decryption_version=2)
    keyfold("decrypt", "--context", "team=a", "-o", back, sealed)
    assert back.read_bytes() == PAYLOAD
    keyfold("decrypt", "--context", "team=b", "-o", tmp_path / "no.bin", sealed, code=13)
    assert not (tmp_path / "no.bin").exists()


def test_a_pipe_goes_through(stock, keyfold):
    stock.secrets.transit.create_key("pipes")
    sealed = keyfold("encrypt", "--key", "transit/pipes", "-", stdin=PAYLOAD)
    assert keyfold("decrypt", "-", stdin=sealed) == PAYLOAD


def test_files_move_to_keyfold_and_both_servers_open_them_meanwhile(stock, keyfold, server, root, mount, tmp_path):
    stock.secrets.transit.create_key("moving")
    transit = mount("transit")
    root.secrets.transit.create_key("moved", mount_point=transit)
    folder = tmp_path / "tree"
    folder.mkdir()
    for number in range(300):
        keyfold("encrypt", "--key", "transit/moving", "-o", folder / f"{number}.kf", "-", stdin=PAYLOAD[:number])
    bodies = [path.read_bytes()[4096:] for path in sorted(folder.iterdir())]
    token = tmp_path / "token"
    token.write_text(server.root_token + "\n")
    to = [f"--to={transit}/moved", f"--to-address={server.url}", f"--to-token-file={token}", "-format=json", folder]

    def here(*arguments, code=0):
        environment = {**os.environ, "VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token, "HOME": str(tmp_path)}
        done = subprocess.run([os.environ["KEYFOLD_BIN"], *map(str, arguments)], env=environment, capture_output=True)
        assert done.returncode == code, done.stderr.decode()
        return done.stdout

    moved = json.loads(keyfold("rewrap", *to))
    assert (moved["rewrapped"], moved["failed"], moved["bytes_written"]) == (300, 0, 300 * 512)
    one = folder / "299.kf"
    assert keyfold("decrypt", "-o", "-", one) == here("decrypt", "-o", "-", one) == PAYLOAD[:299]
    slots = json.loads(here("inspect", "-format=json", one))["slots"]
    assert [(slot["state"], slot["aad_bound"]) for slot in slots] == [("active", False), ("active", True)]
    ended = json.loads(keyfold("rewrap", "--retire-source", *to))
    assert (ended["finished"], ended["failed"]) == (300, 0)
    name = f"{transit}/moved"
    assert ended["in_use"] == [{"key": name, "version": 1, "opens_with": f"{name} version 1", "files": 300}]
    stock.secrets.transit.update_key_configuration("moving", deletion_allowed=True)
    stock.secrets.transit.delete_key("moving")
    assert here("decrypt", "-o", "-", one) == PAYLOAD[:299]
    assert bodies == [path.read_bytes()[4096:] for path in sorted(folder.iterdir())]
