"""Keyrings in a table of a real PostgreSQL: many processes at once, some of them killed, and tables of other forms."""

import base64
import itertools
import json
import time
from collections import Counter

import pytest

PLAIN = base64.b64encode(b"DE89 3704").decode()
PLACE = {"table": "customers", "column": "iban"}
TABLES = itertools.count(1)


@pytest.fixture
def ring(db, keys, run):
    """A keyring in a table of the test's own: its table, and its address."""
    table = f"ring{next(TABLES)}"
    address = db.address(f"table={table}&service=payments")
    run("keyring", "create", f"--key={keys.locator}", f"--store={address}", "payments")
    return table, address


def shown(run, address):
    return json.loads(run("keyring", "show", "-format=json", address)[0])


def rows(db, table, what, service="payments"):
    lines = db.sql(f"SELECT dek_no, {what} FROM {table} WHERE service = '{service}' ORDER BY dek_no").splitlines()
    return {int(line.split("|")[0]): line.split("|")[1] for line in lines}


def asked(op, count, **more):
    lines = ({"op": op, **PLACE, "key": str(row), **more} for row in range(count))
    return "".join(json.dumps(line) + "\n" for line in lines)


def answers(text):
    """Of the lines that are whole."""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def dek_of(value):
    raw = value.removeprefix("kf1:")
    return int.from_bytes(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4))[1:5], "big")


def test_a_rotation_touches_one_row_a_dek(db, keys, run, ring):
    table, address = ring
    other = db.address(f"table={table}&service=other")
    run("keyring", "create", f"--key={keys.locator}", f"--store={other}", "other")
    sealed = answers(run("value", f"--keyring={address}", given=asked("seal", 100, plaintext=PLAIN))[0])
    assert rows(db, table, "uses") == {1: "100"}, "what was counted ahead is given back"
    run("keyring", "rotate", address)
    run("keyring", "destroy", "-force", other, "1")
    before = rows(db, table, "xmin"), rows(db, table, "xmin", "other")
    keys.rotate()
    done = json.loads(run("keyring", "rewrap", "--verify", "-format=json", address)[0])
    assert (done["deks"], done["rewrapped"], done["server_calls"]) == (2, 2, 1)
    assert rows(db, table, "split_part(wrapped, ':', 2)") == {1: "v2", 2: "v2"}
    after = rows(db, table, "xmin"), rows(db, table, "xmin", "other")
    assert after[1] == before[1] and not set(after[0].values()) & set(before[0].values())
    assert rows(db, table, "coalesce(wrapped, 'none')", "other") == {1: "none"}
    # By the old wrap nothing opens any more, and by the new one all of it.
    keys.transit.update_key_configuration(keys.name, min_decryption_version=2, mount_point=keys.mount)
    lines = "".join(
        json.dumps({"op": "open", **PLACE, "key": str(row), **answer}) + "\n" for row, answer in enumerate(sealed)
    )
    opened = answers(run("value", f"--keyring={address}", given=lines)[0])
    assert opened == [{"plaintext": PLAIN}] * 100


def test_it_moves_to_another_key_and_makes_its_next_dek_there(db, keys, run, ring, tmp_path):
    table, address = ring
    place, path = tmp_path / "ring.json", tmp_path / "a.kf"
    run("keyring", "create", f"--key={keys.locator}", f"--store={place}", "files")
    run("encrypt", f"--keyring={place}", "-o", path, "-", given="text")
    sealed = answers(run("value", f"--keyring={address}", given=asked("seal", 3, plaintext=PLAIN))[0])
    other = keys.beside("other")
    for store in (address, place):
        run("keyring", "rotate", store)
        done = json.loads(run("keyring", "rewrap", f"--to={other.locator}", "--verify", "-format=json", store)[0])
        assert (done["deks"], done["rewrapped"], done["newest"]) == (2, 2, {other.locator: 1})
        again = json.loads(run("keyring", "rewrap", f"--to={other.locator}", "-format=json", store)[0])
        assert (again["rewrapped"], again["already_newest"]) == (0, 2)
        run("keyring", "rotate", store)
        assert {dek["key"] for dek in shown(run, store)["deks"]} == {other.locator}
    # The first key is told that it is needed no more, and may go.
    for key, needed in ((keys, {}), (other, {"1": 3})):
        catalogs = f"{key.mount}/keys/{key.name}/catalogs"
        names = json.loads(run("list", "-format=json", catalogs)[0])
        told = [json.loads(run("read", "-format=json", f"{catalogs}/{name}")[0])["data"]["items"] for name in names]
        assert told == [needed] * 2, (key.name, told)
    keys.transit.update_key_configuration(keys.name, deletion_allowed=True, mount_point=keys.mount)
    keys.transit.delete_key(keys.name, mount_point=keys.mount)
    lines = "".join(
        json.dumps({"op": "open", **PLACE, "key": str(row), **answer}) + "\n" for row, answer in enumerate(sealed)
    )
    opened = answers(run("value", f"--keyring={address}", given=lines)[0])
    assert [answer["plaintext"] for answer in opened] == [PLAIN] * 3
    assert run("decrypt", f"--keyring={place}", "-o", "-", path)[0] == "text"


def test_an_envelope_under_it_names_its_place(db, run, ring, tmp_path):
    table, address = ring
    (tmp_path / "f").write_bytes(b"x" * 70_000)
    run("encrypt", f"--keyring={address}", tmp_path / "f")
    (tmp_path / "f").unlink()
    header = (tmp_path / "f.kf").read_bytes()[:4096]
    assert f"pg://127.0.0.1:{db.port}/postgres/{table}/payments".encode() in header and b"owner" not in header
    run("decrypt", f"--keyring={address}", tmp_path / "f.kf")
    assert (tmp_path / "f").read_bytes() == b"x" * 70_000
    assert rows(db, table, "uses || ' ' || bytes") == {1: "1 70000"}


def test_processes_that_are_killed_lose_no_use(db, keys, run, keyfold, ring, tmp_path):
    table, address = ring
    (tmp_path / "asked").write_text(asked("seal", 60_000, plaintext=PLAIN))

    def start(number):
        return keyfold(
            "value", f"--keyring={address}", stdin=open(tmp_path / "asked"), stdout=open(tmp_path / f"out.{number}", "w")
        )

    processes = [start(number) for number in range(4)]
    for kill in range(8):
        time.sleep(0.05 + 0.03 * kill)
        run("keyring", "rotate", address)
        if kill % 3 == 0:
            keys.rotate()
            run("keyring", "rewrap", address)
        processes[kill % 4].kill()
        processes[kill % 4].wait()
        processes[kill % 4] = start(4 + kill)
    for process in processes:
        process.kill()
        process.wait()
    made = [answers(path.read_text()) for path in tmp_path.glob("out.*")]
    used = Counter(dek_of(answer["value"]) for lines in made for answer in lines)
    assert len(used) > 1, used
    counted = rows(db, table, "uses")
    assert all(used[dek] <= int(counted[dek]) for dek in used), (used, counted)
    states = Counter(rows(db, table, "state").values())
    assert states["active"] == 1 and states["retired"] == len(counted) - 1
    # And the last that each of them made opens.
    last = ((len(lines) - 1, lines[-1]) for lines in made if lines)
    lines = "".join(json.dumps({"op": "open", **PLACE, "key": str(row), **answer}) + "\n" for row, answer in last)
    opened = answers(run("value", f"--keyring={address}", given=lines)[0])
    assert opened and all(answer == {"plaintext": PLAIN} for answer in opened), opened


def test_processes_that_rotate_at_once_make_deks_one_after_the_other(db, keyfold, run, ring):
    table, address = ring
    processes = [keyfold("keyring", "rotate", address) for _ in range(8)]
    told = [(process.communicate(timeout=60), process.returncode) for process in processes]
    assert all(code == 0 for _, code in told), told
    states = rows(db, table, "state")
    # Who comes second takes the first one's.
    assert 2 <= len(states) <= 9 and list(states) == list(range(1, len(states) + 1))
    assert [dek for dek, state in states.items() if state == "active"] == [len(states)]


def test_a_rewrap_that_is_killed_did_all_or_nothing(db, keys, run, keyfold, ring):
    table, address = ring
    for _ in range(10):
        run("keyring", "rotate", address)
    newest = 1
    seen = set()
    for turn in range(12):
        keys.rotate()
        process = keyfold("keyring", "rewrap", address)
        time.sleep(0.015 * turn)
        process.kill()
        process.wait()
        # What the server was doing then, it finishes or undoes.
        while db.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keyfold'") != "0":
            time.sleep(0.02)
        versions = set(rows(db, table, "split_part(wrapped, ':', 2)").values())
        assert len(versions) == 1, versions
        newest += 1
        seen.add(versions == {f"v{newest}"})
    assert False in seen, "none was killed before it was done"
    assert json.loads(run("keyring", "rewrap", "--verify", "-format=json", address)[0])["failures"] == []
    assert set(rows(db, table, "split_part(wrapped, ':', 2)").values()) == {f"v{newest}"}


def test_a_damaged_row_is_named_and_nothing_is_changed(db, run, ring):
    table, address = ring
    run("keyring", "rotate", address)
    db.sql(f"ALTER TABLE {table} ALTER state DROP NOT NULL; CREATE TABLE {table}_kept AS TABLE {table}")
    for column, damage in [
        ("wrapped", "'plain words'"),
        ("wrapped", "NULL"),
        ("wrapped", "replace(wrapped, 'v1', 'v01')"),
        ("wrapped", "'vault:v1:' || repeat('AAAA', 100000)"),
        ("state", "'broken'"),
        ("state", "NULL"),
        ("dek_id", "'x'"),
        ("dek_id", f"(SELECT dek_id FROM {table}_kept WHERE dek_no = 1)"),
        ("commitment", "commitment || 'x'"),
        ("key", "'../x'"),
        ("uses", "-1"),
        ("dek_no", "4294967296"),
    ]:
        db.sql(f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_service_dek_id_key;"
               f"UPDATE {table} SET {column} = {damage} WHERE dek_no = 2")
        damaged = db.sql(f"SELECT md5(t::text) FROM {table} t ORDER BY 1")
        for command in (["show"], ["rotate"], ["rewrap"]):
            _, err = run("keyring", *command, address, code=34)
            number = 4294967296 if column == "dek_no" else 2
            assert f"DEK {number}: {column}" in err and len(err) < 500, err
        assert db.sql(f"SELECT md5(t::text) FROM {table} t ORDER BY 1") == damaged
        db.sql(f"DELETE FROM {table}; INSERT INTO {table} TABLE {table}_kept")
    # A wrap or a commitment of another row passes for none of its own.
    db.sql(f"UPDATE {table} SET wrapped = (SELECT wrapped FROM {table}_kept WHERE dek_no = 1) WHERE dek_no = 2")
    _, err = run("value", "seal", f"--keyring={address}", "--table=t", "--column=c", "--key=1", given="x", code=26)
    db.sql(f"DELETE FROM {table}; INSERT INTO {table} TABLE {table}_kept; UPDATE {table} SET commitment = "
           f"(SELECT commitment FROM {table}_kept WHERE dek_no = 1) WHERE dek_no = 2")
    _, err = run("value", "seal", f"--keyring={address}", "--table=t", "--column=c", "--key=1", given="x", code=14)
    # Rows of other services do not count, whatever they hold.
    db.sql(f"DELETE FROM {table}; INSERT INTO {table} TABLE {table}_kept; INSERT INTO {table} "
           f"SELECT 'Payments', dek_no, dek_id, 'broken', key, kek_id, 'x', bound, -1, 'x', -1, -1 FROM {table}_kept")
    assert len(shown(run, address)["deks"]) == 2


def test_a_table_of_another_form_is_refused(db, keys, run, ring):
    table, address = ring
    before = db.sql(f"SELECT md5(t::text) FROM {table} t")
    for change, words in [
        ("DROP COLUMN uses", 'no column "uses"'),
        ("ALTER uses TYPE int", '"uses" is integer'),
        (f"DROP CONSTRAINT {table}_pkey", "no unique index is over service, dek_no"),
    ]:
        db.sql(f"CREATE TABLE changed (LIKE {table} INCLUDING ALL)")
        db.sql(f"ALTER TABLE changed {change.replace(f'{table}_pkey', 'changed_pkey')}")
        odd = db.address("table=changed&service=payments")
        for command in (["show", odd], ["create", f"--key={keys.locator}", f"--store={odd}", "payments"]):
            _, err = run("keyring", *command, code=1)
            assert words in err, err
        assert db.sql("SELECT count(*) FROM changed; DROP TABLE changed") == "0"
    db.sql("CREATE ROLE looker LOGIN PASSWORD 'looker'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker")
    looker = address.replace("owner@", "looker@")
    assert run("keyring", "show", looker, PGPASSWORD="looker")
    for command in (["rotate", looker], ["create", f"--key={keys.locator}", f"--store={looker}2", "payments2"]):
        _, err = run("keyring", *command, code=1, PGPASSWORD="looker")
        assert "permission denied" in err, err
    db.sql("DROP OWNED BY looker; DROP ROLE looker")
    missing = db.address("table=none&service=payments")
    none = db.address(f"table={table}&service=nobody")
    for query, code, words in [
        (missing, 34, "no keyring at pg://"),
        (none, 34, "no keyring at pg://"),
        (db.address(f"table={table}"), 1, "service"),
        (db.address("service=payments"), 1, "table"),
        (address + "&password=hunter2", 1, "PGPASSWORD"),
        (address.replace("owner@", "owner:hunter2@"), 1, "PGPASSWORD"),
        (address + "&speed=high", 1, "speed"),
    ]:
        for command in ("show", "rewrap"):
            _, err = run("keyring", command, query, code=code)
            assert words in err and "hunter2" not in err, err
    _, err = run("keyring", "show", address, code=1, PGPASSWORD="hunter2")
    assert "password authentication failed" in err and "hunter2" not in err
    create = ["keyring", "create", f"--key={keys.locator}", f"--store={address}"]
    _, err = run(*create, "payments", code=1)
    assert "already" in err
    _, err = run(*create, "another", code=34)
    assert '"payments"' in err
    assert db.sql(f"SELECT md5(t::text) FROM {table} t") == before
    assert db.sql("SELECT to_regclass('none') IS NULL") == "t"
