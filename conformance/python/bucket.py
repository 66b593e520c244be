"""A bucket of moto's S3, a proxy before it that fails as it is told, and keyfold at work on it."""

import contextlib
import datetime
import http.client
import json
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "envelopes"
# Bytes of plaintext of a part of an upload.
PART = 512 * 16_384


class Bucket:
    """The bucket as it is, by boto3, and the requests that keyfold made of the proxy."""

    def __init__(self, client, proxy):
        self.client, self.proxy = client, proxy
        self.endpoint = f"http://127.0.0.1:{proxy.server_port}"

    def put(self, key, body):
        self.client.put_object(Bucket=NAME, Key=key, Body=body)

    def get(self, key):
        return self.client.get_object(Bucket=NAME, Key=key)["Body"].read()

    def keys(self, prefix=""):
        listed = self.client.list_objects_v2(Bucket=NAME, Prefix=prefix)
        return [found["Key"] for found in listed.get("Contents", [])]

    @contextlib.contextmanager
    def failing(self, how):
        """`how(method, key)` is None, a status to answer with, "short" for half of the body, "cut" for a connection that ends
        in its middle, or "lost" for 503 in place of the answer to what was done."""
        self.proxy.how = how
        try:
            yield
        finally:
            self.proxy.how = lambda method, key: None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        key = self.path.split("?")[0].removeprefix(f"/{NAME}").lstrip("/")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, key, headers))
        wanted = self.server.how(self.command, key)
        if isinstance(wanted, int):
            return self.answer(wanted, [], b"<Error><Code>SlowDown</Code></Error>")
        upstream = http.client.HTTPConnection("127.0.0.1", self.server.upstream)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        data = answer.read()
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in HOP]
        if self.command == "HEAD":
            return self.answer(answer.status, headers, b"", answer.getheader("Content-Length"))
        if wanted == "lost":
            return self.answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
        length = str(len(data)) if wanted == "cut" else None
        if wanted in ("short", "cut"):
            data = data[: len(data) // 2]
        self.answer(answer.status, headers, data, length)
        self.close_connection = wanted == "cut"

    def answer(self, status, headers, data, length=None):
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", length or str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

    def log_message(self, *_):
        pass


class Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Whoever is killed in the middle of a call is no news."""


HOP = {"content-length", "transfer-encoding", "connection", "server", "date"}


@contextlib.contextmanager
def running(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = open(folder / "moto.log", "wb")
    process = subprocess.Popen([sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log)
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert process.poll() is None, (folder / "moto.log").read_text()
            time.sleep(0.1)
        client = boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
            aws_access_key_id="id", aws_secret_access_key="secret",
        )
        client.create_bucket(Bucket=NAME)
        proxy = Proxy(("127.0.0.1", 0), Handler)
        proxy.upstream, proxy.seen, proxy.how = port, [], lambda method, key: None
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield Bucket(client, proxy)
        proxy.shutdown()
    finally:
        process.kill()
        process.wait()


def certificate(folder):
    """A file with a certificate of localhost's own, and its key."""
    now, name = datetime.datetime.now(datetime.UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    key, day = ec.generate_private_key(ec.SECP256R1()), datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - day).not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "both.pem").write_bytes(made.public_bytes(pem) + secret)
    return folder / "both.pem"


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with running(tmp_path_factory.mktemp("moto")) as bucket:
        yield bucket


@pytest.fixture
def key(root, mount):
    """A transit key: its name as keyfold takes it, and how to rotate it."""
    path = mount("transit")
    root.secrets.transit.create_key("files", mount_point=path)
    rotate = lambda: root.secrets.transit.rotate_key("files", mount_point=path)
    return f"{path}/files", rotate


@pytest.fixture
def start(server, s3, tmp_path):
    def start(*arguments, **variables):
        environment = {
            **os.environ, "VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token, "HOME": str(tmp_path),
            "AWS_ENDPOINT_URL": s3.endpoint, "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1", **variables,
        }
        return subprocess.Popen(
            [os.environ["KEYFOLD_BIN"], *map(str, arguments)], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    return start


@pytest.fixture
def run(start):
    def run(*arguments, code=0, **variables):
        process = start(*arguments, **variables)
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, (process.returncode, out, err)
        return out, err

    return run


@pytest.fixture
def seal(run, key, tmp_path):
    """Encrypts some bytes into an object."""

    def seal(name, plain, *arguments, **kwargs):
        (tmp_path / "plain").write_bytes(plain)
        return run("encrypt", "--key", key[0], "-o", address(name), *arguments, tmp_path / "plain", **kwargs)

    return seal


@pytest.fixture
def opens(run, tmp_path):
    def opens(name, plain):
        out = tmp_path / "out"
        run("decrypt", "-f", "-o", out, address(name))
        assert out.read_bytes() == plain
        out.unlink()

    return opens


def address(key):
    return f"s3://{NAME}/{key}"


def events(text):
    lines = [json.loads(line) for line in text.splitlines()]
    failures = {line["place"]: line for line in lines if line["event"] == "failure"}
    return failures, lines[-1]


def versions(run, tmp_path, header):
    (tmp_path / "header.kf").write_bytes(header)
    slots = json.loads(run("inspect", "-format=json", tmp_path / "header.kf")[0])["slots"]
    return [(slot["state"], slot["version"]) for slot in slots]
