"""What lies in deploy/: linted, and run where a machine can."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from nodes import Node, copied, restart_all

DEPLOY = Path(__file__).parents[2] / "deploy"
UNIT = DEPLOY / "systemd/keyfold.service"


def needs(*programs):
    missing = [program for program in programs if not shutil.which(program)]
    return pytest.mark.skipif(bool(missing), reason=f"not here: {', '.join(missing)}")


def printed(*command, **kwargs):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


PLAIN = """
storage "redb" {{ path = "{folder}/store" }}
listener "tcp" {{ address = "127.0.0.1:{port}" tls_disable = true }}
"""


# --- systemd ------------------------------------------------------------------------------------------------------


@needs("systemd-analyze")
def test_the_unit_is_sound_and_gives_little_away(tmp_path):
    # Where it will lie there is no program on this machine.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/keyfold", os.environ["KEYFOLD_BIN"]))
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (0, ""), said.stderr
    # In tenths: 1.5 of 10.
    printed("systemd-analyze", "security", "--offline=yes", "--no-pager", "--threshold=15", unit)


def calls(name):
    """The system calls of a name in SystemCallFilter."""
    if not name.startswith("@"):
        return {name}
    found = set()
    for line in printed("systemd-analyze", "syscall-filter", name).splitlines()[1:]:
        if line.strip() and not line.lstrip().startswith("#"):
            found |= calls(line.strip())
    return found


@needs("systemd-analyze", "strace")
@pytest.mark.skipif(os.getuid() != 0, reason="only root may look at the server's calls")
def test_the_unit_allows_the_calls_that_the_server_makes(tmp_path):
    allowed = set()
    for names in re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.M):
        found = set().union(*(calls(name) for name in names.lstrip("~").split()))
        allowed = allowed - found if names.startswith("~") else allowed | found
    node = Node(tmp_path, PLAIN, ["strace", "-f", "-qq", "-o", tmp_path / "calls"]).start()
    # strace keeps signals to itself; its child is the server.
    server = int(Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split()[0])
    try:
        url = f"http://127.0.0.1:{node.port}/v1"
        made = requests.put(f"{url}/sys/init", json={"secret_shares": 1, "secret_threshold": 1}).json()
        requests.put(f"{url}/sys/unseal", json={"key": made["keys"][0]}).raise_for_status()
        token = {"X-Vault-Token": made["root_token"]}
        for path, body in [
            ("sys/mounts/transit", {"type": "transit"}),
            ("transit/keys/k", {"type": "rsa-2048"}),
            ("sys/auth/userpass", {"type": "userpass"}),
            ("auth/userpass/users/u", {"password": "correct horse"}),
        ]:
            requests.post(f"{url}/{path}", json=body, headers=token).raise_for_status()
        requests.get(f"{url}/sys/host-info", headers=token).raise_for_status()
        for sent in (signal.SIGHUP, signal.SIGTERM):
            os.kill(server, sent)
        assert node.process.wait(30) == 0, (tmp_path / "log").read_text()
    finally:
        # It ends with the server.
        if node.process.poll() is None:
            os.kill(server, signal.SIGKILL)
            node.process.wait()
    log = (tmp_path / "calls").read_text(errors="replace")
    made = set(re.findall(r"^\d+ +([a-z0-9_]+)\(", log, re.M))
    assert {"openat", "fdatasync", "accept4"} <= made
    assert made <= allowed, sorted(made - allowed)


# --- container ----------------------------------------------------------------------------------------------------


def test_the_containerfile_is_sound():
    hadolint = Path(sys.prefix) / "bin/hadolint"
    printed(hadolint, "--strict-labels", DEPLOY / "Containerfile")
    text = (DEPLOY / "Containerfile").read_text()
    images = re.findall(r"^FROM (\S+)", text, re.M)
    assert len(images) == 2 and all(":" in image and "latest" not in image for image in images)
    # A name would not do: who runs it could not see that it is not root.
    assert re.findall(r"^USER (.*)$", text, re.M) == ["65532:65532"]
    # It is built by the compiler that the workspace asks for.
    manifest = (DEPLOY.parent / "Cargo.toml").read_text()
    assert f'rust-version = "{re.match(r"rust:([0-9.]+)", images[0])[1]}"' in manifest


# --- HAProxy ------------------------------------------------------------------------------------------------------


@needs("haproxy")
def test_no_request_fails_while_node_after_node_is_restarted(tmp_path):
    restart_all(tmp_path, '"redb" {{ path = "{folder}/store" }}', copied)
