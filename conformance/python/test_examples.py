"""The programs of examples/, and the commands of their pages, do what the pages say: each is run as it stands there."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import bucket
import pytest
from sqlalchemy import exc, select, text, update

ROOT = Path(__file__).parents[2]
PLAIN = b"CANARY of the plaintext\n" * 5_000


class Example:
    """A copy of an example's folder, beside a server of its own and with the programs that its page takes for granted."""

    def __init__(self, name, tmp_path, server):
        self.server = server
        for part in [f"examples/{name}", "docs/policies"]:
            shutil.copytree(ROOT / part, tmp_path / part)
        self.folder = tmp_path / "examples" / name
        programs = tmp_path / "bin"
        programs.mkdir()
        (programs / "keyfold").symlink_to(os.environ["KEYFOLD_BIN"])
        path = [str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]
        self.variables = {"PATH": ":".join(path), "HOME": str(tmp_path), "VAULT_ADDR": server.url}
        self.root = {"VAULT_TOKEN": server.root_token}

    def run(self, script, code=0, **variables):
        """Runs commands as a shell does; what they print on both."""
        done = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script], env={**self.variables, **variables}, cwd=self.folder,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
        )
        assert done.returncode == code, (script, done.returncode, done.stdout, done.stderr)
        return done.stdout, done.stderr

    def block(self, heading, number=0):
        """The commands of a section of the page."""
        page = (self.folder / "README.md").read_text()
        [section] = [part for part in page.split("\n## ") if part.startswith(heading)]
        return section.split("```sh\n")[1 + number].split("```")[0]

    def set_up(self):
        self.run(self.block("Set up"), **self.root)

    def may_not(self, token, *commands):
        for command in commands:
            self.run(command, code=24 if "crypt" in command else 2, VAULT_TOKEN_PATH=token)


@pytest.fixture
def example(fresh, tmp_path):
    """Makes one: the server is initialised and unsealed."""
    answer = fresh.client().sys.initialize(secret_shares=1, secret_threshold=1)
    fresh.keys, fresh.root_token = answer["keys"], answer["root_token"]
    fresh.client().sys.submit_unseal_key(fresh.keys[0])
    return lambda name: Example(name, tmp_path, fresh)


@pytest.mark.parametrize("folder", [path for path in (ROOT / "examples").iterdir() if path.is_dir()], ids=lambda path: path.name)
def test_the_list_names_each(folder):
    assert f"]({folder.name}/)" in (ROOT / "examples" / "README.md").read_text()


def test_nightly_rewrap(example):
    job = example("nightly-rewrap")
    job.set_up()
    data = job.folder / "data"
    data.mkdir()
    (job.folder / "plain").write_bytes(PLAIN)
    names = [f"data/{name}.kf" for name in "abc"]
    for name in names:
        job.run(f"keyfold encrypt -key=transit/app -o {name} plain", **job.root)

    def versions():
        shown = (json.loads(job.run(f"keyfold inspect -format=json {name}")[0]) for name in names)
        return [slot["version"] for one in shown for slot in one["slots"] if slot["state"] == "active"]

    def rotate():
        job.run("keyfold write -f transit/keys/app/rotate", **job.root)

    job.may_not(
        "rewrapper.token", "keyfold decrypt -o - data/a.kf", "keyfold encrypt -key=transit/app -o x plain",
        "keyfold write -f transit/keys/app/rotate", "keyfold token create", "keyfold write -f transit/datakey/plaintext/app",
    )
    night = job.block("Run")
    rotate()
    job.run(night)
    assert versions() == [2, 2, 2]
    [journal] = job.folder.glob("*.journal")
    lines = [json.loads(line) for line in journal.read_text().splitlines()][1:]
    assert sorted(line["place"] for line in lines) == names
    assert {(line["old_version"], line["new_version"]) for line in lines} == {(1, 2)}
    out, _ = job.run("for name in data/*.kf; do keyfold decrypt -o - $name; done", **job.root)
    assert out.encode() == PLAIN * 3
    # Nothing to do.
    job.run(night)
    assert len(journal.read_text().splitlines()) == 4

    # One is damaged: the others are done, and somebody is told.
    rotate()
    (data / "c.kf").write_bytes((data / "c.kf").read_bytes()[:4000])
    _, err = job.run(night, code=3)
    names.remove("data/c.kf")
    assert versions() == [3, 3] and "data/c.kf" in err and "are left" in err

    job.run("keyfold operator seal", **job.root)
    _, err = job.run(night, code=75)
    assert "again in a while" in err
    job.run(night, code=75, VAULT_ADDR="http://127.0.0.1:1", VAULT_MAX_RETRIES="0")
    job.server.client().sys.submit_unseal_key(job.server.keys[0])
    (data / "c.kf").unlink()
    job.run(night)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="there is no systemd")
def test_nightly_rewrap_s_units(example):
    job = example("nightly-rewrap")
    service = job.folder / "keyfold-rewrap.service"
    unit = service.read_text()
    assert "/usr/local/libexec/keyfold-rewrap" in unit
    # The program is not installed on this machine.
    service.write_text(unit.replace("/usr/local/libexec/keyfold-rewrap", str(job.folder / "rewrap.sh")))
    _, err = job.run("systemd-analyze verify ./keyfold-rewrap.service ./keyfold-rewrap.timer")
    assert "keyfold-rewrap" not in err, err


ORDERS = """
CREATE TABLE orders (id int PRIMARY KEY, note text);
INSERT INTO orders SELECT n, 'CANARY ' || md5(n::text) FROM generate_series(1, 2000) n;
"""


def test_pg_dump(example, db):
    job = example("pg-dump")
    job.variables |= {"PGHOST": str(db.folder), "PGPORT": str(db.port), "PGUSER": "owner"}
    job.variables["PATH"] = f"{db.bin}:{job.variables['PATH']}"
    job.run(f"createdb shop && psql -Xqd shop <<'END'\n{ORDERS}\nEND")
    job.set_up()

    def dump(database):
        """What is in it, without what differs from one dump to the next."""
        lines = job.run(f"pg_dump --no-owner {database}")[0].splitlines()
        return [line for line in lines if not line.startswith("\\")]

    job.run(job.block("Back up"))
    [backup] = (job.folder / "backups").iterdir()
    assert b"CANARY" not in backup.read_bytes() and "CANARY" in "".join(dump("shop"))
    name = f"backups/{backup.name}"
    job.may_not("backup.token", f"keyfold decrypt -context=database=shop -o - {name}")
    job.run(job.block("Restore"))
    job.run(job.block("The day"), VAULT_ADDR="http://127.0.0.1:1")
    assert dump("shop_restored") == dump("shop_offline") == dump("shop")
    drilled, _ = job.run(job.block("The day", 1), VAULT_ADDR="http://127.0.0.1:1")
    assert "Opened" in drilled

    # A dump that ends early gets no name, and is not left there.
    _, err = job.run("./backup.sh missing backups", code=1, VAULT_TOKEN_PATH="backup.token")
    assert "missing" in err and list((job.folder / "backups").iterdir()) == [backup]

    # What was cut, or is of another database, changes nothing.
    whole = backup.read_bytes()
    (job.folder / "cut.kf").write_bytes(whole[: 4096 + 3 * 16_400])
    assert len(whole) > 4096 + 4 * 16_400
    restore = {"VAULT_TOKEN_PATH": "restore.token"}
    job.run("createdb empty; ./restore.sh shop cut.kf empty", code=15, **restore)
    job.run(f"./restore.sh other {name} empty", code=13, **restore)
    # Without -verify-first the cut comes out when the first rows were sent already; they are not committed either.
    cut = "keyfold decrypt -context=database=shop -o - cut.kf"
    assert "CREATE TABLE" in job.run(cut, code=15, **restore)[0]
    assert job.run(f"{cut} -verify-first", code=15, **restore)[0] == ""
    careless = (job.folder / "restore.sh").read_text().replace(" -verify-first", "")
    (job.folder / "careless.sh").write_text(careless)
    job.run("bash careless.sh shop cut.kf empty", code=15, **restore)
    assert "CREATE TABLE" in "".join(dump("shop")) and "CREATE TABLE" not in "".join(dump("empty"))


def test_sqlalchemy(example, db, monkeypatch):
    app = example("sqlalchemy")
    app.variables["DATABASE_URL"] = f"postgresql+psycopg://owner@/postgres?host={db.folder}&port={db.port}"
    app.set_up()
    token = {"VAULT_TOKEN_PATH": "customers.token"}
    listed, _ = app.run(app.block("Run"))
    (ann, bob) = (line.split(" ")[0] for line in listed.splitlines()[-2:])
    everyone = f"{ann} Ann Example DE02120300000000202051\n{bob} Bob Example DE02500105170137075030\n"
    assert listed == f"{ann}\n{bob}\n{everyone}"
    stored = "SELECT iban FROM customers ORDER BY name"
    before = db.sql(stored)
    assert before.count("kf1:") == 2 and "DE02" not in before

    # A program that runs all the time, in this process.
    for name, value in {**app.variables, **token}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(app.folder)
    monkeypatch.syspath_prepend(app.folder)
    customers, sealed = importlib.import_module("customers"), importlib.import_module("sealed")
    Customer, session = customers.Customer, customers.Session(customers.ENGINE)

    def ibans():
        session.expire_all()
        return [customer.iban for customer in session.scalars(select(Customer).order_by(Customer.name))]

    plain = ["DE02120300000000202051", "DE02500105170137075030"]
    assert ibans() == plain
    running = customers.VALUES.process

    # A new version of the KEK: no row changes, and the version before it is not needed any more.
    app.run(app.block("Rotate"), **app.root)
    app.run("keyfold write transit/keys/customers/config min_decryption_version=2", **app.root)
    assert db.sql(stored) == before and ibans() == plain
    assert app.run("python customers.py list", **token)[0] == everyone
    # A new DEK: each row is sealed anew, and the first one is destroyed.
    session.rollback()
    app.run(app.block("Rotate", 1), **app.root)
    assert app.run("python customers.py deks", **token)[0] == "DEK 1: 2\n"
    assert app.run(app.block("Rotate", 2), **token)[0] == "DEK 2: 2\n"
    app.run(app.block("Rotate", 3), **app.root)
    after = db.sql(stored).splitlines()
    assert not set(after) & set(before.splitlines()) and ibans() == plain
    assert customers.VALUES.process is running and running.poll() is None

    # A value in another row, and a row under another key, do not open. Whoever can't be asked is an error, too.
    session.rollback()
    db.sql(f"UPDATE customers SET iban = (SELECT iban FROM customers WHERE id = '{ann}') WHERE id = '{bob}'")
    _, err = app.run(f"python customers.py show {bob}", code=37, **token)
    assert "DE02" not in err
    moved = ann[:-1] + ("0" if ann[-1] != "0" else "1")
    db.sql(f"UPDATE customers SET id = '{moved}' WHERE id = '{ann}'")
    app.run(f"python customers.py show {moved}", code=37, **token)
    db.sql(f"UPDATE customers SET id = '{ann}' WHERE id = '{moved}'")
    assert app.run(f"python customers.py show {ann}", **token)[0] == everyone.splitlines()[0] + "\n"
    with pytest.raises(sealed.KeyfoldError) as failed:
        session.get_one(Customer, bob).iban
    assert failed.value.exit_code == 37 and not failed.value.transient

    # The column takes no plaintext, on any way, and what was refused is not printed.
    for statement in [select(Customer).where(Customer.iban_sealed == plain[0]), update(Customer).values(iban_sealed=plain[0])]:
        with pytest.raises(exc.StatementError) as refused:
            session.execute(statement)
        assert plain[0] not in str(refused.value) and "sealed" in str(refused.value)
        session.rollback()
    session.add(Customer(name="Carl", iban=None))
    session.flush()
    assert session.scalar(text("SELECT count(*) FROM customers WHERE iban IS NULL")) == 1
    session.rollback()
    # A process that is gone is started again.
    running.kill()
    running.wait()
    assert session.get_one(Customer, ann).iban == plain[0]
    session.close()
    customers.ENGINE.dispose()
    # It ends with its input.
    customers.VALUES.process.stdin.close()
    assert customers.VALUES.process.wait() == 0

    app.may_not(
        "customers.token", "keyfold write -f transit/keys/customers/rotate", "keyfold read secret/data/other",
        "keyfold encrypt -key=transit/other -o x sealed.py",
    )


def test_bucket(example, tmp_path):
    job = example("bucket")
    with bucket.running(tmp_path) as s3:
        job.variables |= {
            "AWS_ENDPOINT_URL": s3.endpoint, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }
        job.set_up()
        (job.folder / "report.pdf").write_bytes(PLAIN)
        (job.folder / "scan.png").write_bytes(b"CANARY")
        job.run(job.block("Put and get"))
        assert (job.folder / "back.pdf").read_bytes() == PLAIN
        names = ["2026/report.pdf", "2026/report.pdf.kf", "2026/scan.png", "2026/scan.png.kf"]
        assert s3.keys() == names and not any(b"CANARY" in s3.get(name) for name in names)
        before = {name: s3.get(name) for name in names}

        job.run(job.block("Rotate"), **job.root)
        out, _ = job.run(job.block("Rotate", 1))
        assert [name for name in names if s3.get(name) != before[name]] == names[1::2], out
        census = json.loads(job.run("keyfold census -format=json s3://envelopes/", **job.root)[0])
        assert [(row["version"], row["files"]) for row in census["versions"] if row["state"] == "active"] == [(2, 2)]
        token = {"VAULT_TOKEN_PATH": "app.token"}
        job.run("./get.sh s3://envelopes/2026 report.pdf again.pdf", **token)
        assert (job.folder / "again.pdf").read_bytes() == PLAIN
        job.may_not("rewrapper.token", "keyfold decrypt -context=object=2026/scan.png -o x s3://envelopes/2026/scan.png")

        # It is not replaced; swapped by whoever owns the bucket, it is refused.
        job.run("./put.sh s3://envelopes/2026 scan.png", code=1, **token)
        for old, new in [(names[0], names[2]), (names[1], names[3])]:
            s3.put(new, s3.get(old))
        job.run("./get.sh s3://envelopes/2026 scan.png x", code=13, **token)
        s3.put(names[3], before[names[3]])
        job.run("./get.sh s3://envelopes/2026 scan.png x", code=14, **token)
        assert not (job.folder / "x").exists()

        rules = json.loads((job.folder / "lifecycle.json").read_text())
        s3.client.put_bucket_lifecycle_configuration(Bucket=bucket.NAME, LifecycleConfiguration=rules)
        json.loads((job.folder / "rewrapper-iam.json").read_text())
