"""Processes under measurement: a keyfold server, the ceiling, and what the kernel counts about them."""

import contextlib
import http.client
import json
import socket
import subprocess
import time

CONFIG = """
listener "tcp" {{
  address     = "127.0.0.1:{port}"
  tls_disable = true
}}
storage "redb" {{
  path = "{folder}/store"
}}
api_addr  = "http://127.0.0.1:{port}"
log_level = "warn"
{audit}
"""

AUDIT = """
audit "file" "bench" {{
  options {{
    file_path = "{folder}/audit.log"
  }}
}}
"""


class Process:
    """A running program that listens on a port of 127.0.0.1."""

    def __init__(self, process, port, scheme="http"):
        self.process = process
        self.port = port
        self.scheme = scheme
        # What opens the store, and who may do anything, where it is a server.
        self.share = None
        self.root = None

    def cpu_seconds(self):
        """User and system time since its start."""
        # The clock that clock_getcpuclockid(3) names, which Python has not: ticks of /proc are too coarse for an idle process.
        return time.clock_gettime(~self.process.pid << 3 | 2)

    def resident_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        raise RuntimeError("no VmRSS")

    def written_bytes(self):
        """What it gave to write calls since its start, by the kernel's count."""
        with open(f"/proc/{self.process.pid}/io") as counts:
            for line in counts:
                if line.startswith("wchar:"):
                    return int(line.split()[1])
        raise RuntimeError("no wchar")

    def call(self, method, path, body=None, token=None):
        """Sends a request and returns the JSON of the answer; anything but 2xx is an error."""
        text = self.send(method, path, body, token)
        return json.loads(text) if text else {}

    def text(self, path, token):
        """The body of a GET as text, whatever it is."""
        return self.send("GET", path, None, token).decode(errors="replace")

    def send(self, method, path, body, token):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {"Content-Type": "application/json"}
        if token:
            headers["X-Vault-Token"] = token
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if not 200 <= answer.status < 300:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {text[:300]!r}")
        return text


@contextlib.contextmanager
def ceiling(program):
    process = subprocess.Popen([program], stdout=subprocess.PIPE, text=True)
    try:
        yield Process(process, int(process.stdout.readline()))
    finally:
        stop(process)


@contextlib.contextmanager
def keyfold(program, folder, audited=False):
    """Starts, initialises and unseals a server on an empty store; yields it and its root token."""
    folder.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    audit = AUDIT.format(folder=folder) if audited else ""
    config = folder / "server.hcl"
    config.write_text(CONFIG.format(port=port, folder=folder, audit=audit))
    with open(folder / "server.log", "wb") as log:
        process = subprocess.Popen(
            [program, "server", f"-config={config}"], stdout=log, stderr=subprocess.STDOUT
        )
    server = Process(process, port)
    try:
        listening(server, folder / "server.log")
        keys = server.call("PUT", "/v1/sys/init", {"secret_shares": 1, "secret_threshold": 1})
        server.share, server.root = keys["keys"][0], keys["root_token"]
        server.call("PUT", "/v1/sys/unseal", {"key": server.share})
        yield server, keys["root_token"]
    finally:
        stop(process)


def listening(server, log):
    end = time.monotonic() + 30
    while server.process.poll() is None and time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"the server does not listen:\n{log.read_text(errors='replace')}")


def said(program, *arguments):
    """What an example prints."""
    command = [str(argument) for argument in (program, *arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()


def stop(process):
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
