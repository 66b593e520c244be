"""Detached envelopes in a bucket of moto's S3, also one that fails: made, opened and rewrapped by keyfold's command line."""

import collections
import json
import os
import subprocess

import bucket
import pytest

PART = 512 * 16_384


@pytest.fixture(scope="module")
def s3(tmp_path_factory):
    with bucket.running(tmp_path_factory.mktemp("moto")) as running:
        yield running


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
    return f"s3://{bucket.NAME}/{key}"


def events(text):
    lines = [json.loads(line) for line in text.splitlines()]
    failures = {line["place"]: line for line in lines if line["event"] == "failure"}
    return failures, lines[-1]


def versions(run, tmp_path, header):
    (tmp_path / "header.kf").write_bytes(header)
    slots = json.loads(run("inspect", "-format=json", tmp_path / "header.kf")[0])["slots"]
    return [(slot["state"], slot["version"]) for slot in slots]


@pytest.mark.parametrize("size", [0, 5, 16_384, PART - 1, PART, 2 * PART + 20_000])
def test_an_object_has_its_header_beside_it(s3, seal, opens, run, tmp_path, size):
    plain = os.urandom(size)
    name = f"sizes/{size} with a space/ä"
    s3.proxy.seen.clear()
    seal(name, plain)
    puts = [(key, headers) for method, key, headers in s3.proxy.seen if method == "PUT"]
    assert puts[-1][0].endswith(".kf") and puts[-1][1]["if-none-match"] == "*", "the header comes last"
    assert sum(key.endswith(".kf") for key, _ in puts) == 1
    parts = size // PART + 1
    assert len(puts) - 1 == (1 if parts == 1 else parts + 1), "parts, and a claim before they are joined"
    assert puts[-2][1]["if-none-match"] == "*", "the payload's key was nobody's"
    header, payload = s3.get(f"{name}.kf"), s3.get(name)
    assert len(header) == 4096 and header[12] == 1 and header[4040:] == payload[:56]
    assert len(payload) == 56 + size + 16 * (size // 16_384 + 1)
    opens(name, plain)


def test_parts_of_an_object_are_read_alone(s3, seal, run, tmp_path):
    plain = b"%0200000d" % 0 + b"the end"
    seal("parts", plain)
    s3.proxy.seen.clear()
    out, _ = run("decrypt", "--range=16380-16389", address("parts"))
    assert out == "0" * 10
    asked = [headers["range"] for method, key, headers in s3.proxy.seen if (method, key) == ("GET", "parts")]
    assert asked == ["bytes=0-55", f"bytes=56-{56 + 2 * 16_400 - 1}"], "two chunks, and no more"
    run("decrypt", "--range=-7", "-o", tmp_path / "out", address("parts"))
    assert (tmp_path / "out").read_bytes() == b"the end"
    assert run("decrypt", "-o", "-", address("parts"))[0].encode() == plain
    out, _ = run("decrypt", "--range=200000-200007", address("parts"), code=33)
    assert out == ""
    _, err = run("decrypt", "--verify-first", "-o", "-", address("parts"), code=1)
    assert "-o" in err
    s3.put("parts", s3.get("parts")[:56 + 3 * 16_400])
    out, _ = run("decrypt", "-o", "-", address("parts"), code=15)
    assert out == "", "a payload that was cut gives nothing to a pipe"


def test_nothing_whole_is_replaced(s3, seal, opens):
    seal("twice", b"first")
    for force in [[], ["-f"]]:
        _, err = seal("twice", b"second", *force, code=1)
        assert "twice.kf" in err
    opens("twice", b"first")


def test_what_a_kill_leaves_is_no_envelope(s3, start, run, key, opens, tmp_path):
    plain = os.urandom(2 * PART)
    (tmp_path / "plain").write_bytes(plain)

    def killed(method, name):
        if method == "PUT" and name.endswith(".kf"):
            process.kill()
            process.wait()
            return 503

    with s3.failing(killed):
        process = start("encrypt", "--key", key[0], "-o", address("killed"), tmp_path / "plain")
        process.communicate()
    assert s3.keys("killed") == ["killed"], "the payload is there, and no header"
    _, err = run("decrypt", "-o", tmp_path / "out", address("killed"), code=1)
    assert "killed.kf" in err and not (tmp_path / "out").exists()
    sealed = ["encrypt", "--key", key[0], "-o", address("killed"), tmp_path / "plain"]
    _, err = run(*sealed, code=1)
    assert "exists already" in err
    run(*sealed, "-f")
    opens("killed", plain)


@pytest.mark.parametrize("size", [5, PART], ids=["one", "parts"])
def test_of_two_at_once_one_wins_and_its_data_stays(s3, start, opens, key, tmp_path, size):
    plains = [bytes([number]) * size for number in range(4)]
    processes = []
    for number, plain in enumerate(plains):
        (tmp_path / f"plain{number}").write_bytes(plain)
        processes.append(start("encrypt", "--key", key[0], "-o", address(f"both{size}"), tmp_path / f"plain{number}"))
    errors = [process.communicate()[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0, 1, 1, 1], errors
    assert all("exists already" in error for error, code in zip(errors, codes) if code)
    opens(f"both{size}", plains[codes.index(0)])


@pytest.mark.parametrize("size", [5, PART], ids=["one", "parts"])
def test_an_answer_that_is_lost_is_no_failure(s3, seal, opens, size):
    calls = collections.Counter()

    def lost(method, name):
        if method in ("PUT", "POST"):
            calls[method, name] += 1
            return "lost" if calls[method, name] in (1, 3) else None

    with s3.failing(lost):
        seal(f"answers{size}", b"x" * size)
    assert calls["PUT", f"answers{size}.kf"] == 2
    assert calls["POST", f"answers{size}"] == (4 if size == PART else 0), "an upload begun and joined, each twice"
    opens(f"answers{size}", b"x" * size)


def test_rewrapping_leaves_the_payload(s3, seal, opens, run, key, tmp_path):
    for number in range(3):
        seal(f"many/{number}", b"%d" % number)
    # Copies share the wrap of what they are copies of.
    header, payload = s3.get("many/0.kf"), s3.get("many/0")
    for number in range(60):
        s3.put(f"many/copy {number}", payload)
        s3.put(f"many/copy {number}.kf", header)
    s3.put("many/other.txt", b"something else")
    before = {name: s3.client.head_object(Bucket=bucket.NAME, Key=name)["ETag"] for name in s3.keys("many/")}
    key[1]()
    s3.proxy.seen.clear()
    out, _ = run("rewrap", "--json", "--dry-run", address("many/"))
    assert events(out)[1]["rewrapped"] == 63 and not [call for call in s3.proxy.seen if call[0] != "GET"]
    out, _ = run("rewrap", "--json", "--verify=full", address("many/"))
    last = events(out)[1]
    assert (last["envelopes"], last["rewrapped"], last["wraps_sent"], last["other_files"]) == (63, 63, 3, 1)
    for name, tag in before.items():
        same = s3.client.head_object(Bucket=bucket.NAME, Key=name)["ETag"] == tag
        assert same != name.endswith(".kf"), name
    assert versions(run, tmp_path, s3.get("many/copy 7.kf")) == [("retired", 1), ("active", 2)]
    counted = json.loads(run("census", "-format=json", address("many/"))[0])
    active = {row["version"]: row["files"] for row in counted["versions"] if row["state"] == "active"}
    assert active == {2: 63}
    opens("many/copy 7", b"0")


def test_headers_move_to_another_key(s3, seal, opens, run, key, root, tmp_path):
    seal("move/a", b"a")
    path = key[0].split("/")[0]
    root.secrets.transit.create_key("other", mount_point=path)
    moved = ["rewrap", "--json", f"--to={path}/other", address("move/")]
    run(*moved)
    assert versions(run, tmp_path, s3.get("move/a.kf")) == [("active", 1), ("active", 1)]
    run(*moved, "--retire-source")
    assert versions(run, tmp_path, s3.get("move/a.kf")) == [("retired", 1), ("active", 1)]
    opens("move/a", b"a")


def test_a_run_that_was_killed_is_finished_by_the_next(s3, seal, start, run, opens, key, tmp_path):
    seal("stopped/0", b"text")
    header, payload = s3.get("stopped/0.kf"), s3.get("stopped/0")
    for number in range(1, 60):
        s3.put(f"stopped/{number}", payload)
        s3.put(f"stopped/{number}.kf", header)
    key[1]()
    done = collections.Counter()

    def killed(method, name):
        if method == "PUT":
            done["puts"] += 1
            if done["puts"] == 20:
                process.kill()

    with s3.failing(killed):
        process = start("rewrap", "--json", "--no-register", "--workers=1", address("stopped/"))
        process.communicate()
    states = [versions(run, tmp_path, s3.get(f"stopped/{number}.kf")) for number in range(60)]
    old, new = [("active", 1)], [("retired", 1), ("active", 2)]
    assert all(state in (old, new) for state in states) and old in states and new in states
    out, _ = run("rewrap", "--json", "--no-register", address("stopped/"))
    assert events(out)[1]["rewrapped"] == states.count(old)
    for number in [0, 30, 59]:
        opens(f"stopped/{number}", b"text")


def test_what_is_lost_or_mixed_up_is_named_and_the_rest_is_done(s3, seal, opens, run, key, tmp_path):
    for name in ["a", "b", "good", "lost", "cut"]:
        seal(f"mixed/{name}", name.encode())
    first, second = s3.get("mixed/a.kf"), s3.get("mixed/b.kf")
    s3.put("mixed/a.kf", second)
    s3.put("mixed/b.kf", first)
    s3.client.delete_object(Bucket=bucket.NAME, Key="mixed/lost")
    s3.put("mixed/cut.kf", s3.get("mixed/cut.kf")[:2000])
    key[1]()
    out, _ = run("rewrap", "--json", address("mixed/"), code=3)
    failures, last = events(out)
    codes = {place.rsplit("/", 1)[1]: line["exit_code"] for place, line in failures.items()}
    assert codes == {"a.kf": 14, "b.kf": 14, "lost.kf": 1, "cut.kf": 15}
    assert f"{address('mixed/a')}" in failures[address("mixed/a.kf")]["error"]
    assert last["rewrapped"] == 1
    _, err = run("decrypt", "-o", tmp_path / "out", address("mixed/a"), code=14)
    assert "mixed/a" in err and not (tmp_path / "out").exists()
    # Put back, they open, and the next run moves them.
    s3.put("mixed/a.kf", first)
    s3.put("mixed/b.kf", second)
    run("rewrap", address("mixed/"), code=3)
    assert versions(run, tmp_path, s3.get("mixed/a.kf")) == [("retired", 1), ("active", 2)]
    opens("mixed/a", b"a")


def test_what_has_no_header_is_counted_and_what_can_not_be_named_is_passed(s3, seal, run, key):
    for name in ["a", "b", "c"]:
        seal(f"strange/{name}", name.encode())
    s3.client.delete_object(Bucket=bucket.NAME, Key="strange/a.kf")
    for odd in ["strange/a//b", "strange/b/../c.kf", "strange//z.kf"]:
        s3.put(odd, b"of another program")
    key[1]()
    out, _ = run("rewrap", "--json", "--no-register", address("strange/"), code=3)
    failures, last = events(out)
    assert set(failures) == {address("strange/b/../c.kf"), address("strange//z.kf")}
    assert (last["rewrapped"], last["other_files"]) == (2, 1)


def test_a_header_that_somebody_replaces_meanwhile_is_read_again(s3, seal, opens, run, key, root, tmp_path):
    for name in ["once", "always"]:
        seal(f"race/{name}", name.encode())
    key[1]()
    root.secrets.transit.create_key("new", mount_point=key[0].split("/")[0])
    # What another operator's run leaves: a second wrap beside the first.
    other = {}
    for name in ["once", "always"]:
        (tmp_path / f"{name}.kf").write_bytes(s3.get(f"race/{name}.kf"))
        run("rewrap", f"--to={key[0].split('/')[0]}/new", tmp_path / f"{name}.kf")
        other[name] = (tmp_path / f"{name}.kf").read_bytes()
    came = []

    def replaced(method, name):
        if method == "PUT" and name == "race/once.kf" and name not in came:
            came.append(name)
            s3.put(name, other["once"])
        if method == "PUT" and name == "race/always.kf":
            came.append(name)
            return 412

    with s3.failing(replaced):
        out, _ = run("rewrap", "--json", "--no-register", address("race/"), code=3)
    failures, _ = events(out)
    assert {place: line["exit_code"] for place, line in failures.items()} == {address("race/always.kf"): 30}
    assert came.count("race/always.kf") <= 6, "it is tried a few times and no more"
    states = versions(run, tmp_path, s3.get("race/once.kf"))
    assert ("active", 2) in states and len(states) == 3, states
    opens("race/once", b"once")
    opens("race/always", b"always")


def test_a_service_that_is_busy_is_asked_again(s3, seal, opens, run, key):
    for name in ["a", "b", "never"]:
        seal(f"slow/{name}", name.encode())
    key[1]()
    refused = {}

    def busy(method, name):
        if name == "slow/never.kf" and method == "PUT":
            return 503
        if refused.setdefault((method, name), 0) < 2:
            refused[method, name] += 1
            return 503

    with s3.failing(busy):
        out, _ = run("rewrap", "--json", "--no-register", address("slow/"), code=3)
    failures, last = events(out)
    assert list(failures) == [address("slow/never.kf")] and last["rewrapped"] == 2
    run("rewrap", address("slow/"))
    for name in ["a", "b", "never"]:
        opens(f"slow/{name}", name.encode())


@pytest.mark.parametrize("how", ["short", "cut"])
def test_bodies_that_end_early_release_nothing(s3, seal, opens, run, key, tmp_path, how):
    plain = os.urandom(100_000)
    seal(f"{how}/a", plain)
    seal(f"{how}/b", b"b")
    key[1]()
    with s3.failing(lambda method, name: how if (method, name) == ("GET", f"{how}/a.kf") else None):
        out, _ = run("rewrap", "--json", "--no-register", address(f"{how}/"), code=3)
    failures, last = events(out)
    assert list(failures) == [address(f"{how}/a.kf")] and last["rewrapped"] == 1
    calls = []

    def ends(method, name):
        calls.append(name)
        return how if (method, name) == ("GET", f"{how}/a") and calls.count(name) > 1 else None

    with s3.failing(ends):
        _, err = run("decrypt", "-o", tmp_path / "out", address(f"{how}/a"), code={"short": 15, "cut": 1}[how])
    assert f"{how}/a" in err
    assert not [path for path in tmp_path.iterdir() if "out" in path.name], "nothing is there, under no name"
    opens(f"{how}/a", plain)


def test_a_service_that_lists_nothing_ends_the_run(s3, seal, run, key):
    seal("unlisted/a", b"a")
    with s3.failing(lambda method, name: 503 if name == "" else None):
        _, err = run("rewrap", "--no-register", address("unlisted/"), code=1)
    assert address("unlisted/") in err and "503" in err


def test_a_payload_that_may_not_be_read_lets_its_header_move(s3, seal, opens, run, key, tmp_path):
    seal("archive/a", b"a")
    key[1]()
    with s3.failing(lambda method, name: 403 if (method, name) == ("GET", "archive/a") else None):
        out, _ = run("rewrap", "--json", "--no-register", address("archive/"))
        _, err = run("decrypt", "-o", tmp_path / "out", address("archive/a"), code=1)
    assert events(out)[1]["rewrapped"] == 1
    assert "403" in err and not (tmp_path / "out").exists()
    opens("archive/a", b"a")


def test_a_payload_that_is_not_as_it_was_made_is_named(s3, seal, run, key, tmp_path):
    seal("changed/good", b"good")
    plain = os.urandom(PART + 50_000)
    seal("changed/a", plain)
    payload, chunk = s3.get("changed/a"), 16_400
    third, fourth = payload[56 + 2 * chunk:56 + 3 * chunk], payload[56 + 3 * chunk:56 + 4 * chunk]
    for code, bytes_ in {
        15: payload[:56 + 3 * chunk],
        16: payload[:-1],
        17: payload[:9000] + bytes([payload[9000] ^ 1]) + payload[9001:],
        18: payload[:56 + 2 * chunk] + fourth + third + payload[56 + 4 * chunk:],
        19: payload[:-50] + payload[-50:] + bytes(chunk),
    }.items():
        s3.put("changed/a", bytes_)
        run("decrypt", "-o", tmp_path / "out", address("changed/a"), code=code)
        assert not (tmp_path / "out").exists()
    key[1]()
    out, _ = run("rewrap", "--json", "--no-register", "--verify=full", address("changed/"), code=3)
    failures, last = events(out)
    assert list(failures) == [address("changed/a.kf")] and last["rewrapped"] == 1
    assert versions(run, tmp_path, s3.get("changed/a.kf")) == [("active", 1)]


def test_a_payload_that_is_replaced_meanwhile_gives_nothing(s3, seal, run, tmp_path):
    plain = os.urandom(3 * PART)
    seal("moving", plain)
    other = s3.get("moving")[:56] + os.urandom(len(plain))
    calls = []

    def replaced(method, name):
        calls.append(name)
        if calls.count("moving") == 2:
            s3.put("moving", other)

    with s3.failing(replaced):
        _, err = run("decrypt", "-o", tmp_path / "out", address("moving"), code=1)
    assert "changed while it was read" in err and not (tmp_path / "out").exists()


def test_slots_of_other_headers_and_of_other_times_open_nothing(s3, seal, opens, run, key, root, tmp_path):
    for name in ["a", "b", "old", "good"]:
        seal(f"slots/{name}", name.encode())
    first, second, old = (s3.get(f"slots/{name}.kf") for name in ["a", "b", "old"])
    # The wraps of another header, in this one's place.
    s3.put("slots/a.kf", first[:512] + second[512:4040] + first[4040:])
    key[1]()
    run("decrypt", "-o", tmp_path / "out", address("slots/a"), code=26)
    assert not (tmp_path / "out").exists()
    out, _ = run("rewrap", "--json", "--no-register", address("slots/"), code=3)
    failures, last = events(out)
    assert {place: line["exit_code"] for place, line in failures.items()} == {address("slots/a.kf"): 26}
    assert last["rewrapped"] == 3
    # Its own wraps of another time, which the key has done with.
    s3.put("slots/a.kf", first)
    s3.put("slots/old.kf", old)
    path, name = key[0].split("/")
    root.secrets.transit.update_key_configuration(name, mount_point=path, min_decryption_version=2)
    run("decrypt", "-o", tmp_path / "out", address("slots/old"), code=23)
    assert not (tmp_path / "out").exists()
    out, _ = run("rewrap", "--json", "--no-register", address("slots/"), code=3)
    failures, _ = events(out)
    wanted = {address("slots/a.kf"): 23, address("slots/old.kf"): 23}
    assert {place: line["exit_code"] for place, line in failures.items()} == wanted
    opens("slots/good", b"good")
    opens("slots/b", b"b")
    # A version that was only shut off comes back, and so does the data.
    root.secrets.transit.update_key_configuration(name, mount_point=path, min_decryption_version=1)
    run("rewrap", "--no-register", address("slots/"))
    opens("slots/old", b"old")
    opens("slots/a", b"a")


def test_what_can_not_be_is_refused(s3, run, key, tmp_path):
    (tmp_path / "plain").write_bytes(b"text")
    sealed = ["encrypt", "--key", key[0], "-o"]
    for endpoint in ["http://s3.example", "http://127.0.0.1@s3.example", "https://id:hunter2@s3.example"]:
        _, err = run(*sealed, address("x"), tmp_path / "plain", code=1, AWS_ENDPOINT_URL=endpoint)
        assert "AWS_ENDPOINT_URL" in err and "hunter2" not in err
    for wrong in ["s3://AKIA:hunter2@x/y", address("a//b"), address("a/"), address("../a"), address("a.kf"), address("")]:
        _, err = run(*sealed, wrong, tmp_path / "plain", code=1)
        assert "the address of the bucket" in err and "hunter2" not in err
    _, err = run(*sealed, address("x"), "-", code=1)
    assert "a file" in err
    _, err = run("rewrap", address("x"), tmp_path, code=1)
    assert "alone" in err
    for endpoint in ["http://127.0.0.1:1", "https://127.0.0.1:1"]:
        _, err = run("rewrap", address("x"), code=1, AWS_ENDPOINT_URL=endpoint)
        assert "reached" in err
    for command in ["reencrypt", "drill --passphrase", "inspect"]:
        _, err = run(*command.split(), address("x"), code=1)
        assert "takes files" in err
    assert s3.keys("x") == s3.keys("a/") == s3.keys("a.kf") == []
