"""A Keyfold server for the whole session: started from KEYFOLD_BIN on a free port, initialised, unsealed."""

import contextlib
import os
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import hvac
import pytest
from stock import openbao

CONFIG = """
listener "tcp" {{
  address     = "127.0.0.1:{port}"
  tls_disable = true
}}
storage "redb" {{
  path = "{folder}/store"
}}
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
def running(folder: Path):
    """Starts a server on a store in `folder` and yields it as it is: not initialised."""
    binary = os.environ.get("KEYFOLD_BIN")
    if not binary:
        pytest.exit("KEYFOLD_BIN must name the keyfold binary", returncode=2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "server.hcl"
    config.write_text(CONFIG.format(port=port, folder=folder))
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


def await_listener(process, port, log, patience=30):
    end = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
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
