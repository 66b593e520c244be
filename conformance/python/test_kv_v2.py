"""KV version 2: the whole life of a secret."""

import hvac
import pytest


@pytest.fixture
def kv(root, mount):
    """hvac's KV v2 calls, on a mount of the test's own."""
    path = mount("kv", options={"version": "2"})
    engine = root.secrets.kv.v2

    class Calls:
        def __getattr__(self, name):
            call = getattr(engine, name)
            return lambda *arguments, **named: call(*arguments, mount_point=path, **named)

    return Calls()


def test_versions(kv):
    assert kv.create_or_update_secret("app/db", {"user": "a"})["data"]["version"] == 1
    assert kv.create_or_update_secret("app/db", {"user": "b", "n": 1})["data"]["version"] == 2
    newest = kv.read_secret_version("app/db", raise_on_deleted_version=True)["data"]
    assert newest["data"] == {"user": "b", "n": 1}
    assert newest["metadata"]["version"] == 2
    first = kv.read_secret_version("app/db", version=1, raise_on_deleted_version=True)["data"]
    assert first["data"] == {"user": "a"}
    metadata = kv.read_secret_metadata("app/db")["data"]
    assert metadata["current_version"] == 2
    assert sorted(metadata["versions"]) == ["1", "2"]


def test_check_and_set(kv):
    kv.create_or_update_secret("x", {"v": 1}, cas=0)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set"):
        kv.create_or_update_secret("x", {"v": 2}, cas=0)
    kv.create_or_update_secret("x", {"v": 2}, cas=1)
    assert kv.read_secret_version("x", raise_on_deleted_version=True)["data"]["data"] == {"v": 2}


def test_delete_undelete_destroy(kv):
    for value in (1, 2, 3):
        kv.create_or_update_secret("x", {"v": value})
    kv.delete_latest_version_of_secret("x")
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_version("x", raise_on_deleted_version=True)
    deleted = kv.read_secret_version("x", raise_on_deleted_version=False)["data"]
    assert deleted["data"] is None and deleted["metadata"]["deletion_time"] != ""
    kv.undelete_secret_versions("x", versions=[3])
    assert kv.read_secret_version("x", raise_on_deleted_version=True)["data"]["data"] == {"v": 3}
    kv.delete_secret_versions("x", versions=[1])
    kv.destroy_secret_versions("x", versions=[2])
    kv.undelete_secret_versions("x", versions=[1, 2])
    assert kv.read_secret_version("x", version=1, raise_on_deleted_version=True)["data"]["data"] == {"v": 1}
    versions = kv.read_secret_metadata("x")["data"]["versions"]
    assert [versions[v]["destroyed"] for v in "123"] == [False, True, False]


def test_list(kv):
    for path in ("a", "dir/b", "dir/sub/c"):
        kv.create_or_update_secret(path, {"v": 1})
    assert kv.list_secrets("")["data"]["keys"] == ["a", "dir/"]
    assert kv.list_secrets("dir")["data"]["keys"] == ["b", "sub/"]
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.list_secrets("none")
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_version("none", raise_on_deleted_version=True)
