"""Columns of wrapped keys in a real PostgreSQL, rewrapped by keyfold's command line."""

import base64
import hashlib
import json
import os
import socket
import time

import database

ROWS = 20_000


def events(text):
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if line["event"] == "failure"], lines[-1]


def table(db, name, pairs):
    db.sql(f"CREATE TABLE {name} (id bigint PRIMARY KEY, dek text, plain text)")
    db.fill(name, [(number, *pair) for number, pair in enumerate(pairs)])


def versions(db, name):
    rows = db.sql(f"SELECT split_part(dek, ':', 2), count(*) FROM {name} GROUP BY 1 ORDER BY 1")
    return dict(line.split("|") for line in rows.splitlines())


def catalogs(run, keys):
    """What the key was told that it is needed for."""
    path = f"{keys.mount}/keys/{keys.name}/catalogs"
    names = json.loads(run("list", "-format=json", path)[0])
    return [json.loads(run("read", "-format=json", f"{path}/{name}")[0])["data"]["items"] for name in names]


def opens(db, keys, name):
    """Every row's wrap opens, and holds what the row says."""
    rows = [line.split("|") for line in db.sql(f"SELECT dek, plain FROM {name} ORDER BY id").splitlines()]
    assert keys.unwrap([wrap for wrap, _ in rows]) == [plain for _, plain in rows]


def test_rows_that_others_lock_and_change_lose_nothing(db, keys, run, keyfold):
    table(db, "busy", keys.wrap(ROWS))
    keys.rotate()
    fresh = keys.wrap(500)
    db.sql("CREATE TABLE fresh (id int PRIMARY KEY, dek text, plain text)")
    db.fill("fresh", [(number, *pair) for number, pair in enumerate(fresh)])
    address = db.address(f"table=busy&wrapped=dek&key={keys.locator}")
    # Somebody holds two rows for as long as the run lasts; somebody else puts new keys into others.
    holder = db.start("BEGIN; SELECT id FROM busy WHERE id IN (5, 19000) FOR UPDATE;\n\\echo held\n")
    while db.sql("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'") != "1":
        time.sleep(0.02)
    writer = db.start(
        "DO $$ BEGIN FOR i IN 0..499 LOOP "
        "UPDATE busy b SET dek = f.dek, plain = f.plain FROM fresh f WHERE f.id = i AND b.id = 10 + i * 37; "
        "COMMIT; PERFORM pg_sleep(0.002); END LOOP; END $$;\n"
    )
    out, _ = run("rewrap", "--json", "--store-rate=15000", address, code=3)
    failures, last = events(out)
    assert sorted(failure["place"] for failure in failures) == ["busy id=19000", "busy id=5"]
    assert all(failure["exit_code"] == 30 for failure in failures), failures
    assert last["envelopes"] == ROWS and last["failed"] == 2
    writer.stdin.close()
    assert writer.wait() == 0
    assert versions(db, "busy") == {"v1": "2", "v2": str(ROWS - 2)}
    holder.stdin.close()
    holder.wait()
    run("rewrap", address)
    assert versions(db, "busy") == {"v2": str(ROWS)}
    opens(db, keys, "busy")


def test_killed_in_the_middle_it_goes_on(db, keys, run, keyfold):
    table(db, "killed", keys.wrap(ROWS))
    keys.rotate()
    address = db.address(f"table=killed&wrapped=dek&key={keys.locator}")
    process = keyfold("rewrap", "--store-rate=4000", address)
    while versions(db, "killed").get("v2") is None:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.kill()
    process.wait()
    # What the server was doing then, it finishes or undoes.
    while db.sql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'keyfold'") != "0":
        time.sleep(0.02)
    done = int(versions(db, "killed")["v2"])
    assert 0 < done < ROWS
    out, _ = run("rewrap", "--json", address)
    last = events(out)[1]
    assert (last["rewrapped"], last["already_newest"]) == (ROWS - done, done)
    assert versions(db, "killed") == {"v2": str(ROWS)}
    opens(db, keys, "killed")


def test_wraps_move_to_another_key_and_a_second_run_knows_them_there(db, keys, run):
    table(db, "moving", keys.wrap(3_000))
    db.sql("CREATE TABLE unmoved AS SELECT * FROM moving")
    keys.rotate()
    other = keys.beside("other")
    address = db.address(f"table=moving&wrapped=dek&key={keys.locator}")
    move = ["rewrap", f"--to={other.locator}", "-format=json", address]
    counted = json.loads(run(*move, "--dry-run")[0])
    assert (counted["rewrapped"], counted["bytes_written"]) == (3000, 0)
    opens(db, keys, "moving")
    # From another key there is nothing to move, and nothing that this one is needed no more.
    run("census", "--register", address)
    from_another = json.loads(run(*move, "--from=transit/another")[0])
    assert (from_another["rewrapped"], from_another["already_newest"]) == (0, 3000)
    assert catalogs(run, keys) == [{"1": 3000}]
    out, told = run(*move)
    done = json.loads(out)
    assert (done["rewrapped"], done["failed"]) == (3000, 0)
    assert done["in_use"] is None, "which of them have moved, a scan can't tell"
    assert f"key={other.locator}" in told
    assert catalogs(run, keys) == [{"1": 3000}], "a key that may be needed is told nothing else by itself"
    opens(db, other, "moving")
    # As a run leaves it that was killed; of what is moved nothing says so, and both keys have a version 1.
    db.sql("UPDATE moving m SET dek = u.dek FROM unmoved u WHERE u.id = m.id AND m.id % 3 = 0;"
           "UPDATE moving SET dek = overlay(dek placing 'AAAAAAAA' from 20) WHERE id = 10;")
    out, _ = run(*move, code=3)
    done = json.loads(out)
    assert (done["rewrapped"], done["already_newest"], done["failed"]) == (1000, 1999, 1)
    assert [failure["path"] for failure in done["failures"]] == ["moving id=10"]
    db.sql("DELETE FROM moving WHERE id = 10")
    opens(db, other, "moving")
    run("rewrap", "--retire-source", *move[1:], code=1)
    there = db.address(f"table=moving&wrapped=dek&key={other.locator}")
    run("census", "--register", f"--key={keys.locator}", there)
    assert (catalogs(run, keys), catalogs(run, other)) == ([{}], [{"1": 2999}])


def test_a_connection_that_is_lost_is_made_again(db, keys, keyfold):
    table(db, "lost", keys.wrap(6_000))
    keys.rotate()
    process = keyfold("rewrap", "--store-rate=3000", db.address(f"table=lost&wrapped=dek&key={keys.locator}"))
    while versions(db, "lost").get("v2") is None:
        time.sleep(0.05)
    db.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keyfold'")
    assert process.wait(timeout=60) == 0, process.communicate()
    assert versions(db, "lost") == {"v2": "6000"}
    opens(db, keys, "lost")


def test_bad_rows_are_named_and_the_rest_is_done(db, keys, run):
    table(db, "odd", keys.wrap(300))
    db.sql("UPDATE odd SET dek = NULL WHERE id = 7; UPDATE odd SET dek = 'no wrap' WHERE id = 8;"
           "UPDATE odd SET dek = 'vault:v1:x' WHERE id = 9;"
           "UPDATE odd SET dek = overlay(dek placing 'AAAAAAAA' from 20) WHERE id = 10;"
           "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this row'; END $$;"
           "CREATE TRIGGER no BEFORE UPDATE ON odd FOR EACH ROW WHEN (OLD.id = 11) EXECUTE FUNCTION no();")
    keys.rotate()
    address = db.address(f"table=odd&wrapped=dek&key={keys.locator}")
    out, _ = run("rewrap", "--json", address, code=3)
    failures, last = events(out)
    codes = {failure["place"]: failure["exit_code"] for failure in failures}
    assert codes == {"odd id=8": 10, "odd id=9": 12, "odd id=10": 26, "odd id=11": 1}
    assert "not this row" in [failure["error"] for failure in failures if failure["exit_code"] == 1][0]
    assert last["rewrapped"] == 295
    counted = json.loads(run("census", "-format=json", address, code=3)[0])
    assert {row["version"]: row["files"] for row in counted["versions"]} == {1: 2, 2: 295}


def test_names_keys_and_types_may_be_odd(db, keys, run):
    pairs = keys.wrap(40)
    db.sql('CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."we""ird; --" ('
           'tenant uuid, "at" timestamptz, part numeric(6,2), "d k" varchar(400), UNIQUE (tenant, "at", part), '
           'CHECK (tenant IS NOT NULL));'
           'ALTER TABLE "a.b"."we""ird; --" ALTER tenant SET NOT NULL, ALTER "at" SET NOT NULL, ALTER part SET NOT NULL;')
    for number, (wrap, _) in enumerate(pairs):
        db.sql(f'INSERT INTO "a.b"."we""ird; --" VALUES (md5(\'{number % 5}\')::uuid, '
               f"'2026-10-25 01:30:00.12345+00'::timestamptz + interval '37 minutes' * {number}, {number}.5, '{wrap}')")
    keys.rotate()
    address = db.address(f"table=a%2Eb.we%22ird%3B%20--&wrapped=d%20k&id=part,at,tenant&key={keys.locator}")
    out, _ = run("rewrap", "--json", address, TZ="America/New_York", PGTZ="Asia/Kolkata")
    assert events(out)[1]["rewrapped"] == 40
    left = db.sql('SELECT count(*) FROM "a.b"."we""ird; --" WHERE "d k" LIKE \'vault:v2:%\'')
    assert left == "40"


def test_envelopes_in_a_column_keep_their_payload(db, keys, run, tmp_path):
    plain = tmp_path / "plain"
    plain.write_bytes(os.urandom(40_000))
    sealed = tmp_path / "sealed.kf"
    run("encrypt", "--key", keys.locator, "-o", sealed, plain)
    envelope = sealed.read_bytes()
    db.sql(f"CREATE TABLE blobs (id text PRIMARY KEY, raw bytea, base64 text);"
           f"INSERT INTO blobs VALUES ('a', decode('{envelope.hex()}', 'hex'), '{base64.b64encode(envelope).decode()}'),"
           f"('only the header', decode('{envelope[:4096].hex()}', 'hex'), NULL)")
    keys.rotate()
    for column, read in [("raw", "encode(raw, 'hex')"), ("base64", "encode(decode(base64, 'base64'), 'hex')")]:
        run("rewrap", "--verify=commit", db.address(f"table=blobs&wrapped={column}"))
        after = bytes.fromhex(db.sql(f"SELECT {read} FROM blobs WHERE id = 'a'").replace("\n", ""))
        assert after[4096:] == envelope[4096:] and after[:4096] != envelope[:4096]
        (tmp_path / "again.kf").write_bytes(after)
        shown = json.loads(run("inspect", "-format=json", tmp_path / "again.kf")[0])
        assert [(slot["state"], slot["version"]) for slot in shown["slots"]] == [("retired", 1), ("active", 2)]
        run("decrypt", "-f", "-o", tmp_path / "back", tmp_path / "again.kf")
        assert (tmp_path / "back").read_bytes() == plain.read_bytes()
    assert db.sql("SELECT octet_length(raw) FROM blobs WHERE id = 'only the header'") == "4096"


def test_what_the_address_gets_wrong_is_said(db, keys, run):
    table(db, "shapes", keys.wrap(1))
    db.sql("ALTER TABLE shapes ADD n int, ADD maybe int UNIQUE;"
           "CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON shapes TO reader;")
    good = f"table=shapes&wrapped=dek&key={keys.locator}"
    for query, word in [
        ("table=none&wrapped=dek", "no table"),
        ("table=shapes&wrapped=none", '"none"'),
        ("table=shapes&wrapped=n", "integer"),
        (good + "&id=n", "no unique index is over n"),
        (good + "&id=maybe", "may be NULL"),
        (good + "&sslmode=prefer", "sslmode"),
        (good + "&password=hunter2", "PGPASSWORD"),
    ]:
        _, err = run("rewrap", db.address(query), code=1)
        assert word in err and "hunter2" not in err, err
    _, err = run("rewrap", db.address(good), code=1, PGPASSWORD="hunter2")
    assert "password authentication failed" in err and "hunter2" not in err
    _, err = run("rewrap", f"pg://owner@127.0.0.1:1/postgres?{good}", code=1)
    assert "refused" in err
    _, err = run("reencrypt", db.address(good), code=1)
    assert "takes files" in err
    keys.rotate()
    reader = db.address(good).replace("owner@", "reader@")
    _, err = run("rewrap", reader, code=1, PGPASSWORD="reader")
    assert "permission denied" in err
    assert versions(db, "shapes") == {"v1": "1"}
    passfile = f"{db.folder}/pgpass"
    with open(os.open(passfile, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write(f"127.0.0.1:{db.port}:postgres:owner:{database.PASSWORD}\n")
    run("rewrap", db.address(good), PGPASSWORD="", PGPASSFILE=passfile)
    assert versions(db, "shapes") == {"v2": "1"}


def test_a_database_elsewhere_has_to_prove_its_name(db, keys, run):
    table(db, "remote", keys.wrap(1))
    query = f"table=remote&wrapped=dek&key={keys.locator}"
    ca = f"sslrootcert={db.folder}/ca.pem"
    for host, more, code in [
        ("localhost", f"&sslmode=verify-full&{ca}", 0),
        ("127.0.0.1", f"&sslmode=verify-full&{ca}", 1),
        ("localhost", "&sslmode=verify-full&sslrootcert=/dev/null", 1),
        ("127.0.0.1", "&sslmode=require", 0),
    ]:
        _, err = run("rewrap", db.address(query + more, host=host), code=code)
        assert code == 0 or "ertificate" in err, err


def test_a_key_is_retired_when_no_row_needs_it(db, keys, run, root):
    table(db, "census", keys.wrap(50))
    address = db.address(f"table=census&wrapped=dek&key={keys.locator}")
    keys.rotate()
    run("census", "--register", address)
    catalogs = root.list(f"{keys.mount}/keys/{keys.name}/catalogs")["data"]["keys"]
    assert len(catalogs) == 1
    found = root.read(f"{keys.mount}/keys/{keys.name}/catalogs/{catalogs[0]}")["data"]
    assert found["root"] == f"{socket.gethostname()}:pg://127.0.0.1:{db.port}/postgres/census.dek"
    assert found["items"]["1"] == 50
    run("rewrap", address)
    found = root.read(f"{keys.mount}/keys/{keys.name}/catalogs/{catalogs[0]}")["data"]
    assert (found["items"].get("1", 0), found["items"]["2"]) == (0, 50)


def test_wraps_that_are_bound_to_their_row(db, keys, run):
    db.sql("CREATE TABLE bound (id text PRIMARY KEY, dek text)")
    bound = {id: base64.b64encode(hashlib.sha256(id.encode()).digest()).decode() for id in ["ann", "bob"]}
    batch = [{"plaintext": base64.b64encode(b"k" * 32).decode(), "associated_data": aad} for aad in bound.values()]
    made = keys.transit.encrypt_data(keys.name, batch_input=batch, mount_point=keys.mount)["data"]["batch_results"]
    db.fill("bound", [(id, item["ciphertext"]) for id, item in zip(bound, made)])
    keys.rotate()
    address = db.address(f"table=bound&wrapped=dek&key={keys.locator}")
    out, _ = run("rewrap", "--json", address, code=26)
    assert len(events(out)[0]) == 2 and versions(db, "bound") == {"v1": "2"}
    run("rewrap", "--verify=commit", address + "&aad=id")
    assert versions(db, "bound") == {"v2": "2"}
    # A wrap that was put into another row is not taken for that row's.
    db.sql("UPDATE bound SET dek = (SELECT dek FROM bound WHERE id = 'ann') WHERE id = 'bob'")
    keys.rotate()
    failures, _ = events(run("rewrap", "--json", address + "&aad=id", code=3)[0])
    assert [(failure["place"], failure["exit_code"]) for failure in failures] == [("bound id=bob", 26)]
