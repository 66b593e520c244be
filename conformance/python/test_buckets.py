"""Detached envelopes in a bucket of moto's S3: made, opened and rewrapped by keyfold's command line."""

import itertools
import json
import os
import threading

import pytest
from bucket import NAME, PART, address, events, key, opens, run, s3, seal, start, versions


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


def test_parts_go_and_come_at_once(s3, seal, opens):
    plain = os.urandom(3 * PART)

    def together(wanted, first):
        """Lets two calls of one kind go on when both are there."""
        both, calls = threading.Barrier(2, timeout=60), itertools.count()

        def how(method, name):
            if (method, name) == (wanted, "wide") and next(calls) in (first, first + 1):
                both.wait()

        return both, how

    both, how = together("PUT", 0)
    with s3.failing(how):
        seal("wide", plain)
    assert not both.broken
    # The first range is how the payload begins.
    both, how = together("GET", 1)
    with s3.failing(how):
        opens("wide", plain)
    assert not both.broken


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


def test_rewrapping_leaves_the_payload(s3, seal, opens, run, key, tmp_path):
    for number in range(3):
        seal(f"many/{number}", b"%d" % number)
    # Copies share the wrap of what they are copies of.
    header, payload = s3.get("many/0.kf"), s3.get("many/0")
    for number in range(60):
        s3.put(f"many/copy {number}", payload)
        s3.put(f"many/copy {number}.kf", header)
    s3.put("many/other.txt", b"something else")
    before = {name: s3.client.head_object(Bucket=NAME, Key=name)["ETag"] for name in s3.keys("many/")}
    key[1]()
    s3.proxy.seen.clear()
    out, _ = run("rewrap", "--json", "--dry-run", address("many/"))
    assert events(out)[1]["rewrapped"] == 63 and not [call for call in s3.proxy.seen if call[0] != "GET"]
    out, _ = run("rewrap", "--json", "--verify=full", address("many/"))
    last = events(out)[1]
    assert (last["envelopes"], last["rewrapped"], last["wraps_sent"], last["other_files"]) == (63, 63, 3, 1)
    for name, tag in before.items():
        same = s3.client.head_object(Bucket=NAME, Key=name)["ETag"] == tag
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


def test_what_has_no_header_is_counted_and_what_can_not_be_named_is_passed(s3, seal, run, key):
    for name in ["a", "b", "c"]:
        seal(f"strange/{name}", name.encode())
    s3.client.delete_object(Bucket=NAME, Key="strange/a.kf")
    for odd in ["strange/a//b", "strange/b/../c.kf", "strange//z.kf"]:
        s3.put(odd, b"of another program")
    key[1]()
    out, _ = run("rewrap", "--json", "--no-register", address("strange/"), code=3)
    failures, last = events(out)
    assert set(failures) == {address("strange/b/../c.kf"), address("strange//z.kf")}
    assert (last["rewrapped"], last["other_files"]) == (2, 1)


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
