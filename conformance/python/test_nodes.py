"""Several nodes on one database, and the way there and back."""

import json
import os
import shutil
import subprocess

import database
import pytest
import requests
from nodes import Node, begin, configuration, restart_all, wait_open


@pytest.fixture(scope="module")
def postgres():
    with database.running() as running:
        yield running


@pytest.fixture
def storage(postgres, request):
    """A storage in tables of the test's own."""
    password = database.PASSWORD.replace(" ", "%20")
    url = f"postgres://owner:{password}@127.0.0.1:{postgres.port}/postgres"
    return f'"postgresql" {{{{ connection_url = "{url}" table = "{request.node.name}" }}}}'


@pytest.mark.skipif(not shutil.which("haproxy"), reason="not here: haproxy")
def test_a_rolling_restart(tmp_path, storage):
    restart_all(tmp_path, storage)


def test_a_store_goes_to_a_database_and_back(tmp_path, storage):
    text = configuration(tmp_path)
    file = [f'"redb" {{{{ path = "{tmp_path}/{name}" }}}}' for name in ("first", "last")]
    node = Node(tmp_path, text.replace("STORAGE", file[0])).start()
    try:
        token, verify = begin(node, str(tmp_path / "ca.pem"))

        def ask(verb, body):
            url = f"https://localhost:{node.port}/v1/transit/{verb}/k"
            answer = requests.post(url, json=body, headers=token, verify=verify)
            assert answer.ok, answer.text
            return answer.json()["data"]

        sealed = ask("encrypt", {"plaintext": "AAAA"})["ciphertext"]
        node.stop()
        moved = move(tmp_path, file[0], storage)
        assert moved.returncode == 0, moved.stderr
        told = json.loads(moved.stdout)
        assert (told["from"], told["to"]) == ("redb", "postgresql")

        node = Node(tmp_path, text.replace("STORAGE", storage)).start()
        wait_open(node, verify)
        assert ask("decrypt", {"ciphertext": sealed})["plaintext"] == "AAAA"
        # A database can be open twice: who serves from it is known all the same.
        refused = move(tmp_path, storage, file[1])
        assert refused.returncode == 1
        assert "a server has the source" in refused.stderr, refused.stderr
        assert not (tmp_path / "last").exists()
        refused = move(tmp_path, file[0], storage)
        assert "a server has the destination" in refused.stderr, refused.stderr
        node.stop()
        refused = move(tmp_path, file[0], storage)
        assert "the destination is not empty" in refused.stderr, refused.stderr

        moved = move(tmp_path, storage, file[1])
        assert moved.returncode == 0, moved.stderr
        assert json.loads(moved.stdout)["records"] >= told["records"]
        node = Node(tmp_path, text.replace("STORAGE", file[1])).start()
        wait_open(node, verify)
        assert ask("decrypt", {"ciphertext": sealed})["plaintext"] == "AAAA"
    finally:
        node.process.kill()
        node.process.wait()


def move(folder, source, destination):
    blocks = f"storage_source {source}\nstorage_destination {destination}\n".replace("{{", "{").replace("}}", "}")
    (folder / "move.hcl").write_text(blocks)
    command = [os.environ["KEYFOLD_BIN"], "operator", "migrate", f"-config={folder}/move.hcl", "-format=json"]
    return subprocess.run(command, capture_output=True, text=True, env={"HOME": str(folder)})
