"""A Keyfold server for the whole session: started from KEYFOLD_BIN on a free port, initialised, unsealed."""

import base64
import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import database
import hvac
import pytest
from stock import openbao

# Data keys that one call wraps.
CALL = 2_000

CONFIG = """
listener "tcp" {{
  address     = "127.0.0.1:{port}"
  tls_disable = true
}}
{storage}
api_addr = "http://127.0.0.1:{port}"
"""


@dataclass
class Server:
    """A running server and what `sys/init` handed out."""

    url: str
    keys: list = field(default_factory=list)
    root_token: str = ""

    def client(self, token=None):
        return hvac.Client(url=self.url, token=token)


@contextlib.contextmanager
def running(folder: Path, storage=None):
    """Starts a server on a store in `folder`, or another one, and yields it as it is: not initialised."""
    binary = os.environ.get("KEYFOLD_BIN")
    if not binary:
        pytest.exit("KEYFOLD_BIN must name the keyfold binary", returncode=2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "server.hcl"
    config.write_text(CONFIG.format(port=port, storage=storage or f'storage "redb" {{ path = "{folder}/store" }}'))
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [binary, "server", f"-config={config}"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        await_listener(process, port, folder / "server.log")
        yield Server(url=f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


def await_listener(process, port, log, patience=30, address="127.0.0.1"):
    end = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"the server does not listen; its log:\n{log.read_text(errors='replace')}")


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Initialised with five shares, threshold three, and unsealed with the first three."""
    with running(tmp_path_factory.mktemp("server")) as server:
        client = server.client()
        answer = client.sys.initialize(secret_shares=5, secret_threshold=3)
        server.keys, server.root_token = answer["keys"], answer["root_token"]
        client.sys.submit_unseal_keys(server.keys[:3])
        yield server


@pytest.fixture
def root(server):
    """A client with the root token."""
    return server.client(server.root_token)


@pytest.fixture
def fresh(tmp_path):
    """A server of the test's own, not initialised."""
    with running(tmp_path) as server:
        yield server


@pytest.fixture
def mount(root, request):
    """Mounts an engine at a path of the test's own: `mount("kv", options={"version": "2"})`."""
    made = []

    def enable(kind, **options):
        path = f"{kind}-{request.node.name}"
        root.sys.enable_secrets_engine(kind, path=path, **options)
        made.append(path)
        return path

    yield enable
    for path in made:
        root.sys.disable_secrets_engine(path)


@pytest.fixture(scope="session")
def stock(tmp_path_factory):
    """A client of an OpenBao server."""
    with openbao(tmp_path_factory.mktemp("bao")) as client:
        yield client


@pytest.fixture(scope="session")
def db():
    with database.running() as running:
        yield running


class Keys:
    """A transit key, and the data keys that it wraps."""

    def __init__(self, client, mount, name):
        self.client, self.mount, self.name = client, mount, name
        self.transit = client.secrets.transit
        self.transit.create_key(name, mount_point=mount)
        self.locator = f"{mount}/{name}"

    def beside(self, name):
        """Another key of the same mount."""
        return Keys(self.client, self.mount, name)

    def rotate(self):
        self.transit.rotate_key(self.name, mount_point=self.mount)

    def wrap(self, count):
        """Pairs of a wrap and what is in it, in base64."""
        pairs = []
        for start in range(0, count, CALL):
            plain = [base64.b64encode(os.urandom(32)).decode() for _ in range(min(CALL, count - start))]
            batch = [{"plaintext": text} for text in plain]
            made = self.transit.encrypt_data(self.name, batch_input=batch, mount_point=self.mount)
            pairs += [(item["ciphertext"], text) for item, text in zip(made["data"]["batch_results"], plain)]
        return pairs

    def unwrap(self, wraps):
        plain = []
        for start in range(0, len(wraps), CALL):
            batch = [{"ciphertext": wrap} for wrap in wraps[start : start + CALL]]
            opened = self.transit.decrypt_data(self.name, batch_input=batch, mount_point=self.mount)
            plain += [item["plaintext"] for item in opened["data"]["batch_results"]]
        return plain


@pytest.fixture
def keys(root, mount):
    return Keys(root, mount("transit"), "payments")


@pytest.fixture
def keyfold(server, db, tmp_path):
    """Starts keyfold's command line against the server and the database."""

    def start(*arguments, stdin=None, stdout=subprocess.PIPE, **variables):
        environment = {
            **os.environ, "VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token, "HOME": str(tmp_path),
            "PGPASSWORD": database.PASSWORD, **variables,
        }
        return subprocess.Popen(
            [os.environ["KEYFOLD_BIN"], *map(str, arguments)], env=environment, text=True,
            stdin=stdin, stdout=stdout, stderr=subprocess.PIPE,
        )

    return start


@pytest.fixture
def run(keyfold):
    """Runs it to its end, and gives what it printed on both."""

    def run(*arguments, code=0, given=None, **variables):
        process = keyfold(*arguments, stdin=subprocess.PIPE, **variables)
        out, err = process.communicate(given, timeout=120)
        assert process.returncode == code, (process.returncode, out, err)
        return out, err

    return run
