"""A network namespace for each node and for each member of the store, and bridges between them.

    front   10.77.0.0/24   the test and the nodes
    back    10.78.0.0/24   nodes and store, the store's members among themselves, and the test, which looks whether they are up

The test itself moves into a namespace first, so that nothing of this touches the machine's own network.
"""

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import time

SUBNETS = {"front": "10.77.0", "back": "10.78.0"}
PROGRAMS = ("unshare", "nsenter", "setpriv", "ip", "tc")
OUTSIDE = "KEYFOLD_CLUSTER_OUTSIDE"
TRIAL = "ip link set lo up && ip link add back type bridge && ip link add back-1 type veth peer name back-2"

# What slows a link down: netem where the kernel has it, else a bucket that is too small for what nodes ask of a store.
NETEM = "netem delay 100ms 50ms loss 1%"
TBF = "tbf rate 128kbit burst 4kb latency 400ms"


def enter():
    """Runs this program anew in a network namespace of its own; why that can't be, or None where it is in one."""
    own = os.readlink("/proc/self/ns/net") if sys.platform == "linux" else ""
    outside = os.environ.pop(OUTSIDE, own)
    if outside != own:
        run("ip link set lo up")
        return None
    why = reason()
    if why is None:
        os.environ[OUTSIDE] = own
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.orig_argv[1:]])
    return why


def reason():
    """Why there can be no namespaces here."""
    if sys.platform != "linux":
        return "only Linux has them"
    if os.geteuid() != 0:
        return "only root can make them"
    missing = [name for name in PROGRAMS if not shutil.which(name)]
    if missing:
        return f"not found: {', '.join(missing)}"
    tried = subprocess.run(["unshare", "--net", "sh", "-c", TRIAL], capture_output=True, text=True)
    return tried.stderr.strip() or "they can't be made" if tried.returncode else None


@functools.cache
def shaping():
    """What this kernel slows a link down by; None: by nothing. Tries it on the loopback of the test's own namespace."""
    for discipline in (NETEM, TBF):
        tried = subprocess.run(["tc", "qdisc", "add", "dev", "lo", "root", *discipline.split()], capture_output=True)
        if tried.returncode == 0:
            run("tc qdisc del dev lo root")
            return discipline
    return None


class Loopback:
    """Where there are no namespaces: all on one address."""

    def host(self, front=True):
        """A place for a node, or, without a link to the front, for a member of the store."""
        return Place()


class Place:
    """Where a process runs: the command it runs below, and its addresses. `bound` is a command that dies with the test."""

    bound, prefix, front, back = (), (), "127.0.0.1", "127.0.0.1"


class Host(Place):
    """A namespace with a link to the back bridge, and perhaps one to the front."""

    bound = ("setpriv", "--pdeathsig", "KILL")

    def __init__(self, number, bridges):
        # The namespace is gone when the last process in it is.
        self.holder = subprocess.Popen([*self.bound, "unshare", "--net", "sleep", "infinity"])
        self.wait()
        self.prefix = (*self.bound, "nsenter", f"--net=/proc/{self.holder.pid}/ns/net")
        self.links = {bridge: f"{bridge}-{number}" for bridge in bridges}
        self.inside("ip link set lo up")
        for bridge, link in self.links.items():
            run(f"ip link add {link} type veth peer name {bridge} netns {self.holder.pid}")
            run(f"ip link set {link} master {bridge} up")
            setattr(self, bridge, f"{SUBNETS[bridge]}.{number}")
            self.inside(f"ip address add {SUBNETS[bridge]}.{number}/24 dev {bridge}")
            self.inside(f"ip link set {bridge} up")

    def wait(self):
        own = os.readlink("/proc/self/ns/net")
        for _ in range(500):
            # Before it is there it is that of the test.
            if os.readlink(f"/proc/{self.holder.pid}/ns/net") != own:
                return
            time.sleep(0.01)
        raise AssertionError("no namespace was made")

    def inside(self, command):
        return run(" ".join(self.prefix) + " " + command)

    def cut(self):
        """From now on what is sent over the back link vanishes, and nobody is told."""
        assert self.is_there(), self.back
        run(f"ip link set {self.links['back']} nomaster")
        assert not self.is_there(), self.back

    def mend(self):
        run(f"ip link set {self.links['back']} master back")

    def is_there(self):
        """Whether it can be reached over the back bridge: where nobody listens it refuses."""
        try:
            socket.create_connection((self.back, 1), 0.2).close()
        except ConnectionRefusedError:
            return True
        except OSError:
            return False

    def slow(self):
        """The back link is slow in both directions."""
        run(f"tc qdisc add dev {self.links['back']} root {shaping()}")
        self.inside(f"tc qdisc add dev back root {shaping()}")

    def steady(self):
        for sent in (run(f"tc -s qdisc show dev {self.links['back']}"), self.inside("tc -s qdisc show dev back")):
            assert shaping().split()[0] in sent and " Sent 0 bytes" not in sent, sent
        run(f"tc qdisc del dev {self.links['back']} root")
        self.inside("tc qdisc del dev back root")

    def close(self):
        for link in self.links.values():
            run(f"ip link del {link}")
        self.holder.kill()
        self.holder.wait()


class Network:
    """The bridges, in the test's namespace, and who is on them."""

    def __init__(self):
        self.hosts = []

    def host(self, front=True):
        host = Host(len(self.hosts) + 11, ("front", "back") if front else ("back",))
        self.hosts.append(host)
        return host


@contextlib.contextmanager
def bridges():
    """A network, in the namespace that the test entered."""
    network = Network()
    try:
        for bridge, subnet in SUBNETS.items():
            run(f"ip link add {bridge} type bridge")
            run(f"ip address add {subnet}.1/24 dev {bridge}")
            run(f"ip link set {bridge} up")
        yield network
    finally:
        for host in network.hosts:
            host.close()
        for bridge in SUBNETS:
            run(f"ip link del {bridge}")


def run(command):
    done = subprocess.run(command.split(), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout
