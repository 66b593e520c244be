"""Keyfold's command line beside OpenBao's, on the same server: `-format=json` prints the same members."""

import json
import os
import re
import subprocess

import pytest
from stock import program

# Keys to import: 32 bytes; the first of RFC 8032, section 7.1, in PKCS#8.
AES = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
ED25519 = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"

# Each word `{who}` is `bao` or `keyfold`, so that both have something of their own to make and to remove.
# A line is run by both; what it prints is compared, where it is JSON.
STORIES = {
    "mounts": [
        "secrets enable -path=kv-{who} -version=2 kv",
        "secrets list -format=json",
        "secrets tune -description=tuned -max-lease-ttl=1h kv-{who}",
        "read -format=json sys/mounts/kv-{who}/tune",
        "secrets move kv-{who} moved-{who}",
        "secrets disable moved-{who}",
    ],
    "kv": [
        "secrets enable -path=two-{who} -version=2 kv",
        "kv put -format=json two-{who}/a x=1 y=2",
        "kv patch -format=json two-{who}/a x=3",
        "kv patch -format=json -method=rw two-{who}/a y=4",
        "kv get -format=json two-{who}/a",
        "kv get -format=json -version=1 two-{who}/a",
        "kv get -field=x two-{who}/a",
        "kv list -format=json two-{who}",
        "kv delete two-{who}/a",
        "kv undelete -versions=3 two-{who}/a",
        "kv rollback -format=json -version=1 two-{who}/a",
        "kv destroy -versions=2 two-{who}/a",
        "kv metadata put -max-versions=5 -custom-metadata=k=v two-{who}/a",
        "kv metadata patch -custom-metadata=l=w two-{who}/a",
        "kv metadata get -format=json two-{who}/a",
        "kv metadata delete two-{who}/a",
        "secrets enable -path=one-{who} -version=1 kv",
        "kv put one-{who}/a x=1",
        "kv get -format=json one-{who}/a",
        "kv enable-versioning one-{who}",
    ],
    "policies": [
        "policy list -format=json",
        "write sys/policies/acl/p-{who} policy=path\"a\"{{capabilities=[\"read\"]}}",
        "policy delete p-{who}",
    ],
    "tokens": [
        "token create -format=json -policy=default -ttl=1h -display-name={who}",
        "token create -format=json -type=batch -policy=default -ttl=1h",
        "token lookup -format=json",
        "token capabilities -format=json sys/mounts",
        "token capabilities sys/mounts",
        "write auth/token/roles/r-{who} allowed_policies=default period=1h",
        "token create -format=json -role=r-{who}",
        "read -format=json auth/token/roles/r-{who}",
    ],
    "auth": [
        "auth enable -path=people-{who} userpass",
        "auth list -format=json",
        "write auth/people-{who}/users/ann password=longer-than-that policies=default",
        "read -format=json auth/people-{who}/users/ann",
        "login -format=json -no-store -method=userpass -path=people-{who} username=ann password=longer-than-that",
        "login -token-only -method=userpass -path=people-{who} username=ann password=longer-than-that",
        "auth tune -description=tuned people-{who}",
        "auth disable people-{who}",
    ],
    "wrapping": [
        "write -format=json -wrap-ttl=1m -f sys/wrapping/wrap a=b",
        "write -field=wrapping_token -wrap-ttl=1m -f sys/wrapping/wrap a=b",
        "token create -format=json -wrap-ttl=1m -policy=default",
        "list -format=json -wrap-ttl=1m sys/policies/acl",
    ],
    "lists": [
        "secrets enable -path=l-{who} -version=2 kv",
        "kv put l-{who}/a x=1",
        "kv put l-{who}/b/c x=1",
        "kv scan -format=json l-{who}",
        "kv scan l-{who}",
        "scan -format=json l-{who}/metadata",
        "list -format=json -after=a -limit=1 l-{who}/metadata",
        "list -format=json -detailed l-{who}/metadata",
        "list -format=json -detailed l-{who}/detailed-metadata",
        "list -detailed l-{who}/detailed-metadata",
    ],
    "plugins": [
        "plugin list -format=json",
        "plugin list",
        "plugin list -detailed",
        "plugin list -format=json auth",
        "plugin info -format=json auth approle",
        "plugin info auth approle",
    ],
    "lockout": [
        "auth enable -path=locked-{who} userpass",
        "auth tune -user-lockout-threshold=3 -user-lockout-duration=1m "
        "-user-lockout-counter-reset-duration=2m locked-{who}",
        "read -format=json sys/auth/locked-{who}/tune",
        "auth tune -user-lockout-disable locked-{who}",
        "auth disable locked-{who}",
    ],
    "transit": [
        "secrets enable -path=t-{who} transit",
        f"transit import t-{{who}}/keys/a {AES} exportable=true allow_rotation=true",
        f"transit import-version t-{{who}}/keys/a {AES}",
        "read -format=json t-{who}/keys/a",
        f"transit import t-{{who}}/keys/b {ED25519} type=ed25519",
        "read -format=json t-{who}/keys/b",
    ],
    "status": [
        "status -format=json",
        "operator members -format=json",
        "operator key-status -format=json",
        "operator rotate-keys -status -format=json",
        "operator rotate-keys -status",
        "operator init -output-curl-string",
        "auth enable -output-policy userpass",
        "read -format=raw sys/health",
        "path-help cubbyhole/a",
        "list -format=json sys/policies/acl",
        "print token",
        "version-history -format=json",
    ],
}

# What fails, or finds nothing. Both end with the same exit code, and with the same document, where it is JSON.
ENDS = [
    "nonsense",
    "kv nonsense",
    "kv",
    "kv get",
    "secrets enable -path=e-{who} -version=2 kv",
    "kv list -format=json e-{who}",
    "kv list e-{who}",
    "list -format=json e-{who}/metadata",
    "list -format=yaml e-{who}/metadata",
    "scan -format=json e-{who}/metadata",
    "kv get -format=json e-{who}/none",
    "read -format=json e-{who}/data/none",
    "kv put e-{who}/a x=1",
    "kv get -field=y e-{who}/a",
    "kv put e-{who}/a x=2",
    "kv destroy -versions=1 e-{who}/a",
    "kv rollback -version=1 e-{who}/a",
    "kv delete e-{who}/a",
    "kv get -field=x e-{who}/a",
    "kv get -format=json e-{who}/a",
    "kv get e-{who}/a",
    "read -format=raw e-{who}/data/none",
    "list -format=raw e-{who}/metadata",
    "namespace list",
    "namespace list -format=json",
    "namespace lookup none",
    "namespace delete none",
    "namespace patch none",
    "secrets enable plugin",
    "transit import t-{who}/a AAAA",
    "transit import t-{who}/keys/a nonsense!",
    "transit import t-{who}/keys/a",
    "server -nonsense",
    "kv patch -method=rw e-{who}/a x=3",
    "policy read none-{who}",
    "policy write p-{who} missing.hcl",
    "policy fmt missing.hcl",
    "plugin info auth none",
    "plugin list nonsense",
    "token lookup none",
    "unwrap none",
    "operator validate-config",
    "operator validate-config -config=missing.hcl",
    "operator diagnose",
    "operator diagnose -config=missing.hcl",
    "operator step-down",
    "status -address=http://127.0.0.1:1",
    "read -address=http://127.0.0.1:1 a",
]

# The part of a name that says who made it.
MADE = re.compile("keyfold|bao")
# Members that one side prints by itself: ours, what the server is; theirs, an old name of the commit's date.
OWN = ["server", "build_date"]


def run(binary, who, line, server, home):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "VAULT_ADDR": server.url,
        "BAO_ADDR": server.url,
        "VAULT_TOKEN": getattr(server, "root_token", "root"),
    }
    arguments = [word.format(who=who) for word in line.split(" ")]
    done = subprocess.run([binary, *arguments], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def shape(value):
    """A value without what differs between two runs: members, kinds of values, and the kinds that a list holds. What one
    program made and the other is about to make has one name."""
    if isinstance(value, dict):
        return {MADE.sub("WHO", name): shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return sorted({json.dumps(shape(item), sort_keys=True) for item in value})
    return type(value).__name__


@pytest.mark.parametrize("which", ["server", "stock"])
@pytest.mark.parametrize("name", STORIES)
def test_the_same_members_are_printed(request, which, name, tmp_path):
    server = request.getfixturevalue(which)
    ours = os.environ["KEYFOLD_BIN"]
    for line in STORIES[name]:
        code, out, err = run(program(), "bao", line, server, tmp_path)
        own_code, own_out, own_err = run(ours, "keyfold", line, server, tmp_path)
        assert (own_code, code) == (0, 0), f"{line}: exit {own_code}, theirs {code}\n{own_err}\n{err}"
        if "-format=json" in line:
            mine, theirs = (shape(json.loads(text)) for text in (own_out, out))
            if isinstance(mine, dict):
                mine, theirs = ({name: of[name] for name in of if name not in OWN} for of in (mine, theirs))
            assert mine == theirs, line
        else:
            assert bool(own_out.strip()) == bool(out.strip()), f"{line}\n{own_out}\n{out}"


@pytest.mark.parametrize("which", ["server", "stock"])
def test_failures_end_alike(request, which, tmp_path):
    server = request.getfixturevalue(which)
    ours = os.environ["KEYFOLD_BIN"]
    for line in ENDS:
        code, out, err = run(program(), "bao", line, server, tmp_path)
        own_code, own_out, own_err = run(ours, "keyfold", line, server, tmp_path)
        assert own_code == code, f"{line}: exit {own_code}, theirs {code}\n{own_err}\n{err}"
        if "-format=json" in line and out.strip():
            assert own_out.strip(), f"{line}: prints nothing, theirs {out}"
            assert shape(json.loads(own_out)) == shape(json.loads(out)), line


def test_a_wrapped_answer_is_unwrapped(server, tmp_path):
    ours = os.environ["KEYFOLD_BIN"]
    code, token, err = run(ours, "", "write -field=wrapping_token -wrap-ttl=1m sys/wrapping/wrap a=b", server, tmp_path)
    assert code == 0, err
    for binary, expected in [(ours, 0), (program(), 2)]:
        code, out, err = run(binary, "", f"unwrap -format=json {token.strip()}", server, tmp_path)
        assert code == expected, err
        if code == 0:
            assert json.loads(out)["data"] == {"a": "b"}
