"""PostgreSQL from Debian's packages: a cluster of the tests' own, on a free port."""

import contextlib
import datetime
import ipaddress
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PASSWORD = "correct horse"


class Database:
    """A running cluster: `psql` on its socket as who may do anything, keyfold by TCP with a password."""

    def __init__(self, bin: Path, folder: Path, port: int):
        self.bin, self.folder, self.port = bin, folder, port

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
        return f"pg://owner@{host or '127.0.0.1'}:{self.port}/postgres?{query}"


def programs() -> Path:
    """Where Debian puts the newest version's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = found[-1] if found else shutil.which("initdb")
    assert found, "PostgreSQL is missing: apt-get install postgresql"
    return Path(found).parent


@contextlib.contextmanager
def running():
    # PostgreSQL refuses to run as root, and pytest's folders are closed to others.
    folder = Path(tempfile.mkdtemp(prefix="keyfold-pg-"))
    become = []
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
        become = ["setpriv", "--reuid=nobody", "--clear-groups"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = Database(programs(), folder, port)
    data = folder / "data"
    try:
        (folder / "password").write_text(PASSWORD)
        certificates(folder)
        if become:
            for path in folder.iterdir():
                shutil.chown(path, "nobody")
        subprocess.run(
            [*become, database.bin / "initdb", "-D", data, "-U", "owner", "--auth-local=trust", "-E", "UTF8",
             "--auth-host=scram-sha-256", f"--pwfile={folder}/password", "--no-sync", "--locale=C.UTF-8"],
            check=True, stdout=subprocess.DEVNULL, cwd=folder,
        )
        settings = {
            "listen_addresses": "127.0.0.1", "unix_socket_directories": folder, "fsync": "off", "ssl": "on",
            "ssl_cert_file": folder / "server.pem", "ssl_key_file": folder / "server.key",
        }
        flags = [flag for name, value in settings.items() for flag in ("-c", f"{name}={value}")]
        log = open(folder / "log", "wb")
        process = subprocess.Popen(
            [*become, database.bin / "postgres", "-D", data, "-p", str(port), *flags],
            stdout=log, stderr=log, cwd=folder,
        )
        try:
            for _ in range(300):
                if subprocess.run(database.command("-c", "SELECT 1"), capture_output=True).returncode == 0:
                    break
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield database
        finally:
            process.terminate()
            process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def certificates(folder):
    """An authority, and the server's certificate for the name localhost."""
    authority, root = ec.generate_private_key(ec.SECP256R1()), name("tests")
    ca = signed(root, root, authority.public_key(), authority, x509.BasicConstraints(ca=True, path_length=None))
    (folder / "ca.pem").write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]
    server = signed(name("server"), root, key.public_key(), authority, x509.SubjectAlternativeName(names))
    (folder / "server.pem").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(private)
    (folder / "server.key").chmod(0o600)


def name(text):
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def signed(subject, issuer, key, by, extension):
    now = datetime.datetime.now(datetime.timezone.utc)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    builder = builder.serial_number(x509.random_serial_number()).add_extension(extension, critical=False)
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1))
    return builder.not_valid_after(now + datetime.timedelta(days=1)).sign(by, hashes.SHA256())
