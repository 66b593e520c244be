"""A server whose store is a real PostgreSQL: what clients see of it."""

import glob
import os
import re
import subprocess
import time

import database
import pytest
from conftest import running


@pytest.fixture(scope="module")
def db():
    with database.running() as running:
        yield running


def storage(db, user="owner:correct%20horse", more=""):
    url = f"postgres://{user}@127.0.0.1:{db.port}/postgres?sslmode=disable"
    return f'storage "postgresql" {{\n  connection_url = "{url}"\n  {more}\n}}'


def test_what_was_written_is_there_after_a_kill(db, tmp_path):
    stanza = storage(db, more='table = "killed"')
    with running(tmp_path, stanza) as server:
        client = server.client()
        answer = client.sys.initialize(secret_shares=1, secret_threshold=1)
        keys, token = answer["keys"], answer["root_token"]
        client.sys.submit_unseal_keys(keys)
        client = server.client(token)
        assert client.seal_status["storage_type"] == "postgresql"
        client.sys.enable_secrets_engine("kv", path="kv", options={"version": "2"})
        for number in range(20):
            client.secrets.kv.v2.create_or_update_secret(f"app/{number}", {"n": number}, mount_point="kv")
    with running(tmp_path, stanza) as server:
        server.client().sys.submit_unseal_keys(keys)
        client = server.client(token)
        listed = client.secrets.kv.v2.list_secrets("app", mount_point="kv")["data"]["keys"]
        assert listed == sorted(map(str, range(20)))
        read = client.secrets.kv.v2.read_secret_version("app/7", mount_point="kv", raise_on_deleted_version=True)
        assert read["data"]["data"] == {"n": 7}
    assert int(db.sql("SELECT count(*) FROM killed WHERE position('app'::bytea in value) > 0")) == 0


@pytest.mark.parametrize(
    "user, more, reason",
    [
        ("owner:wrong%20horse", "", "password authentication failed"),
        ("owner:correct%20horse", 'table = "others"', "was not made by this program"),
        ("owner:correct%20horse", 'tabel = "x"', 'unknown setting "tabel"'),
    ],
)
def test_what_is_no_store_is_refused_at_the_start(db, tmp_path, user, more, reason):
    db.sql("CREATE TABLE IF NOT EXISTS others (path text, key text, value bytea)")
    config = tmp_path / "server.hcl"
    listener = 'listener "tcp" {\n  address = "127.0.0.1:0"\n  tls_disable = true\n}\n'
    config.write_text(listener + storage(db, user, more))
    done = subprocess.run(
        [os.environ["KEYFOLD_BIN"], "server", f"-config={config}"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 1
    assert reason in done.stderr, done.stderr
    assert "horse" not in done.stdout + done.stderr


def test_the_database_notices_a_server_that_is_gone_without_a_word(db, tmp_path):
    with running(tmp_path, storage(db, more='table = "kept_alive"')):
        # What the kernel does for the database's ends of the connections.
        command = ["ss", "--tcp", "--no-header", "--numeric", "--options", "state", "established", f"sport = :{db.port}"]
        ends = []
        for _ in range(200):
            ends = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
            # While something is on its way there is another timer.
            if ends and all("timer:(keepalive" in end for end in ends):
                break
            time.sleep(0.05)
        # Until it asks the other end: seconds; without a setting it is two hours.
        assert ends and all(re.search(r"timer:\(keepalive,[\d.]+(ms|sec)", end) for end in ends), ends


@pytest.mark.parametrize("offset", [-3600, 60])
def test_a_server_whose_clock_is_not_the_databases_is_refused_at_the_start(db, tmp_path, offset):
    library = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not library:
        pytest.skip("libfaketime is missing: apt-get install libfaketime")
    config = tmp_path / "server.hcl"
    listener = 'listener "tcp" {\n  address = "127.0.0.1:0"\n  tls_disable = true\n}\n'
    config.write_text(listener + storage(db, more='table = "late"'))
    environment = {**os.environ, "LD_PRELOAD": library[0], "FAKETIME": f"{offset:+}"}
    done = subprocess.run(
        [os.environ["KEYFOLD_BIN"], "server", f"-config={config}"],
        env=environment, capture_output=True, text=True, timeout=30,
    )
    assert done.returncode == 1
    assert f"its clock is {-offset} s apart from this machine's" in done.stderr, done.stderr
    assert db.sql("SELECT count(*) FROM pg_class WHERE relname = 'late'") == "0"
