"""X-Vault-Index between servers: what a client was told by one node it finds at another, or is told to ask again."""

import base64
import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import database
import etcd
import hvac
import pytest
import requests
from nodes import Node, begin, configuration, on_etcd, on_postgresql, wait_open
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

INDEX = "X-Vault-Index"
# How a store is run, which port it has, and how a node finds it at a port.
STORES = {
    "postgresql": (database.running, lambda store: store.port, on_postgresql),
    "etcd": (
        etcd.running, lambda store: urlsplit(store.url).port,
        lambda port, **settings: on_etcd(f"http://127.0.0.1:{port}", **settings),
    ),
}
# A node that is cut off goes on answering from memory for so long.
BOUND = "10s"


class Relay:
    """Carries connections to a port, and can be told to carry nothing on for a while."""

    def __init__(self, port):
        self.target, self.flowing = port, threading.Event()
        self.flowing.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        # Ends when the listener is closed.
        with contextlib.suppress(OSError):
            while True:
                ends = self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.target))
                for source, target in (ends, ends[::-1]):
                    threading.Thread(target=self.carry, args=(source, target), daemon=True).start()

    def carry(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self.flowing.wait()
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def held(self):
        self.flowing.clear()
        try:
            yield
        finally:
            self.flowing.set()


class Pair:
    """Two nodes on one store; the second reaches it through a relay."""

    def __init__(self, nodes, relay, token, verify):
        self.nodes, self.relay, self.token, self.verify = nodes, relay, token, verify

    def ask(self, node, method, path, body=None, index=None):
        headers = self.token | ({INDEX: index} if index is not None else {})
        return requests.request(method, f"{self.url(node)}/v1/{path}", json=body, headers=headers, verify=self.verify, timeout=30)

    def url(self, node):
        return f"https://localhost:{self.nodes[node].port}"

    def write(self, path, body, node=0):
        """Writes, and gives the index."""
        answer = self.ask(node, "POST", path, body)
        answer.raise_for_status()
        return answer.headers[INDEX]

    def secret(self, name, node=1, index=None):
        answer = self.ask(node, "GET", f"kv/data/{name}", index=index)
        assert answer.status_code == 200, answer.text
        # Who answers knows what it was asked for.
        assert index is None or number(answer.headers[INDEX]) >= number(index)
        return answer.json()["data"]["data"]

    def behind(self, node, index):
        """Asks a node what it could answer from memory, with an index that it does not reach."""
        began = time.monotonic()
        answer = self.ask(node, "GET", "auth/token/lookup-self", index=index)
        assert answer.status_code == 412, answer.text
        assert INDEX in answer.json()["errors"][0]
        # It has waited for what may be on its way.
        assert time.monotonic() - began > 1


@pytest.fixture(scope="module", params=STORES)
def pair(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    run, port_of, storage = STORES[request.param]
    text = configuration(folder)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(run())
        relay = Relay(port_of(store))
        stack.callback(relay.listener.close)
        nodes = []
        for name, port in (("direct", relay.target), ("relayed", relay.port)):
            (folder / name).mkdir()
            nodes.append(Node(folder / name, text.replace("STORAGE", storage(port, freshness_bound=BOUND))))
        for node in nodes:
            stack.callback(node.kill)
            node.start()
            if node is nodes[0]:
                token, verify = begin(node, str(folder / "ca.pem"))
            wait_open(node, verify)
        pair = Pair(nodes, relay, token, verify)
        pair.write("sys/mounts/kv", {"type": "kv", "options": {"version": "2"}})
        yield pair


def number(index):
    return int(base64.b64decode(index).split(b":")[2])


def index_of(number):
    return base64.b64encode(f"v1:keyfold:{number}:{number}:00".encode()).decode()


def test_what_one_node_wrote_the_other_reads_at_once(pair):
    last = 0
    for turn in range(25):
        one, other = turn % 2, 1 - turn % 2
        index = pair.write("kv/data/turns", {"data": {"turn": turn}}, one)
        assert pair.secret("turns", other, index) == {"turn": turn}
        policy = f'path "kv/data/{turn}" {{ capabilities = ["read"] }}'
        index = pair.write("sys/policies/acl/turns", {"policy": policy}, other)
        read = pair.ask(one, "GET", "sys/policies/acl/turns", index=index)
        assert read.json()["data"]["policy"] == policy
        assert last < number(index) <= number(read.headers[INDEX])
        last = number(index)


def test_a_node_that_is_behind_says_so_until_it_is_not(pair):
    with pair.relay.held():
        index = pair.write("kv/data/ahead", {"data": {"n": 1}})
        # It serves: without the index it is as good as ever.
        assert pair.ask(1, "GET", "auth/token/lookup-self").status_code == 200
        pair.behind(1, index)
        # Nobody else has to wait for that one.
        assert pair.secret("ahead", 0, index) == {"n": 1}
    assert pair.secret("ahead", 1, index) == {"n": 1}
    assert pair.ask(1, "GET", "auth/token/lookup-self", index=index).status_code == 200


def test_a_request_waits_for_what_is_on_its_way(pair):
    with pair.relay.held():
        index = pair.write("kv/data/soon", {"data": {"n": 1}})
        answers = []
        asking = threading.Thread(
            target=lambda: answers.append(pair.ask(1, "GET", "auth/token/lookup-self", index=index)), daemon=True
        )
        asking.start()
        asking.join(0.3)
        assert not answers
    asking.join(30)
    assert answers[0].status_code == 200, answers[0].text


def test_hvac_asks_again_and_finds_it(pair):
    met = []
    with requests.Session() as session:
        # Not the authorities of a variable.
        session.trust_env, session.verify = False, pair.verify
        # As hvac's documentation has it.
        session.mount("https://", HTTPAdapter(max_retries=Retry(total=5, backoff_factor=0.1, status_forcelist=[412])))
        session.hooks["response"].append(lambda answer, **_: met.extend(one.status for one in answer.raw.retries.history))
        client = hvac.Client(url=pair.url(1), token=pair.token["X-Vault-Token"], session=session)
        with pair.relay.held():
            session.headers[INDEX] = pair.write("kv/data/later", {"data": {"n": 1}})
            # The first answer is there before that.
            going_on = threading.Timer(3, pair.relay.flowing.set)
            going_on.start()
            try:
                read = client.secrets.kv.v2.read_secret_version("later", mount_point="kv", raise_on_deleted_version=True)
            finally:
                going_on.cancel()
    assert read["data"]["data"] == {"n": 1}
    assert met and set(met) == {412}


def test_an_index_that_no_node_reaches(pair):
    last = number(pair.write("kv/data/far", {"data": {"n": 1}}))
    with ThreadPoolExecutor() as at_once:
        far = [index_of(far) for far in (last + 1_000_000, 2**63, 2**64 - 1)]
        list(at_once.map(pair.behind, [0, 1] * 3, [index for index in far for _ in (0, 1)]))
    # A write waits as well, and is not done.
    refused = pair.ask(1, "POST", "kv/data/far", {"data": {"n": 2}}, index=index_of(last + 1_000_000))
    assert refused.status_code == 412, refused.text
    # Nothing that was told is lost by it.
    assert pair.secret("far", 1, index_of(last)) == {"n": 1}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "wrong",
    [
        "", "7", "v1:keyfold:7:7:00", "====", "AAAA", "x" * 4000,
        *map(encoded, ["", "v2:keyfold:7:7:00", "v1:keyfold:7:8:00", "v1:keyfold:-7:-7:00", "v1:keyfold:7:7:", "v1:keyfold:7:7"]),
        *map(encoded, ["v1:keyfold::::", "v1:keyfold:7:7:00:x", f"v1:keyfold:{2**64}:{2**64}:00", "v1:keyfold:7.0:7.0:00"]),
    ],
)
def test_a_malformed_index_is_refused_and_changes_nothing(pair, wrong):
    pair.write("kv/data/kept", {"data": {"n": "kept"}})
    for node in (0, 1):
        answer = pair.ask(node, "POST", "kv/data/kept", {"data": {"n": "changed"}}, index=wrong)
        assert answer.status_code == 400, answer.text
        assert INDEX in answer.json()["errors"][0]
        assert pair.secret("kept", node) == {"n": "kept"}
