"""What goes wrong in a bucket: kills, objects lost or mixed up, a service that answers 412, 403, 503 or short."""

import collections
import os
import ssl
import threading

import bucket
import pytest
from bucket import NAME, PART, address, events, key, opens, run, s3, seal, start, versions


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
    s3.client.delete_object(Bucket=NAME, Key="mixed/lost")
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


def test_a_certificate_that_nobody_vouches_for_is_named(s3, run, key, tmp_path):
    proxy = bucket.Proxy(("127.0.0.1", 0), bucket.Handler)
    proxy.upstream, proxy.seen, proxy.how = s3.proxy.upstream, [], lambda method, key: None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bucket.certificate(tmp_path))
    proxy.socket = context.wrap_socket(proxy.socket, server_side=True)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    endpoint = f"https://localhost:{proxy.server_port}"
    for more in [{}, {"AWS_ALLOW_INVALID_CERTIFICATES": "true"}]:
        _, err = run("rewrap", address("x"), code=1, AWS_ENDPOINT_URL=endpoint, **more)
        assert "certificate" in err
    assert proxy.seen == []
    proxy.shutdown()
