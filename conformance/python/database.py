"""PostgreSQL from Debian's packages: a cluster of the tests' own, on a free port."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PASSWORD = "correct horse"


class Database:
    """A running cluster: `psql` on its socket as who may do anything, keyfold by TCP with a password."""

    def __init__(self, bin: Path, folder: Path, port: int, host="127.0.0.1"):
        self.bin, self.folder, self.port, self.host = bin, folder, port, host

    def command(self, *arguments):
        flags = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", self.folder, "-p", str(self.port)]
        return [str(self.bin / "psql"), *map(str, flags), "-U", "owner", "-d", "postgres", *arguments]

    def sql(self, text, **kwargs):
        """Runs statements and gives what they print."""
        done = subprocess.run(self.command("-f", "-"), input=text, capture_output=True, text=True, **kwargs)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def start(self, text):
        """Runs statements beside the test; `psql` ends when its input does."""
        process = subprocess.Popen(self.command("-f", "-"), stdin=subprocess.PIPE, text=True)
        process.stdin.write(text)
        process.stdin.flush()
        return process

    def fill(self, table, rows):
        lines = "".join("\t".join(map(str, row)) + "\n" for row in rows)
        self.sql(f"COPY {table} FROM STDIN;\n{lines}\\.\n")

    def address(self, query, host=None):
        return f"pg://owner@{host or self.host}:{self.port}/postgres?{query}"


def programs() -> Path:
    """Where Debian puts the newest version's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = found[-1] if found else shutil.which("initdb")
    assert found, "PostgreSQL is missing: apt-get install postgresql"
    return Path(found).parent


@contextlib.contextmanager
def home():
    """A folder, a port, and the command that the programs run below."""
    # PostgreSQL refuses to run as root, and pytest's folders are closed to others.
    folder = Path(tempfile.mkdtemp(prefix="keyfold-pg-"))
    become = []
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
        become = ["setpriv", "--reuid=nobody", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        yield folder, port, become
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running(ssl="on", fsync="off", address="127.0.0.1", outer=(), inner=()):
    """One that listens at an address. It runs below commands: `outer` as who runs the test, `inner` as its own user."""
    with home() as (folder, port, become):
        database = Database(programs(), folder, port, address)
        data = folder / "data"
        (folder / "password").write_text(PASSWORD)
        if ssl == "on":
            # What is measured without it needs no library for it.
            import certificates

            certificates.make(folder, *{address} - {"127.0.0.1"})
        if become:
            for path in folder.iterdir():
                shutil.chown(path, "nobody")
        subprocess.run(
            [*become, database.bin / "initdb", "-D", data, "-U", "owner", "--auth-local=trust", "-E", "UTF8",
             "--auth-host=scram-sha-256", f"--pwfile={folder}/password", "--no-sync", "--locale=C.UTF-8"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder,
        )
        # initdb lets in who is on the same machine only.
        with open(data / "pg_hba.conf", "a") as rules:
            rules.write("host all all samenet scram-sha-256\n")
        settings = {
            "listen_addresses": address, "unix_socket_directories": folder, "fsync": fsync, "ssl": ssl,
            "ssl_cert_file": folder / "server.pem", "ssl_key_file": folder / "server.key",
        }
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        log = open(folder / "log", "wb")
        process = subprocess.Popen(
            [*outer, *become, *inner, database.bin / "postgres", "-D", data, "-p", str(port), *flags],
            stdout=log, stderr=log, cwd=folder,
        )
        database.pid = process.pid
        try:
            for _ in range(300):
                if subprocess.run(database.command("-c", "SELECT 1"), capture_output=True).returncode == 0:
                    break
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield database
        finally:
            # Without waiting for clients: of those that a network took away it does not know that they are gone.
            process.send_signal(signal.SIGINT)
            process.wait()
