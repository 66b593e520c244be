package conformance

import (
	"errors"
	"slices"
	"testing"

	"github.com/openbao/openbao/api/v2"
)

func TestKVVersions(t *testing.T) {
	kv := mounted(t)
	first := must(kv.Put(t.Context(), "app/db", map[string]any{"user": "a"}, api.WithCheckAndSet(0)))(t)
	if first.VersionMetadata.Version != 1 || first.VersionMetadata.CreatedTime.IsZero() {
		t.Fatalf("first %+v", first.VersionMetadata)
	}
	_, err := kv.Put(t.Context(), "app/db", map[string]any{"user": "late"}, api.WithCheckAndSet(0))
	refused(t, err, 400)
	must(kv.Put(t.Context(), "app/db", map[string]any{"user": "b"}, api.WithCheckAndSet(1)))(t)

	if got := must(kv.Get(t.Context(), "app/db"))(t); got.Data["user"] != "b" || got.VersionMetadata.Version != 2 {
		t.Fatalf("newest %v", got.Data)
	}
	if got := must(kv.GetVersion(t.Context(), "app/db", 1))(t); got.Data["user"] != "a" {
		t.Fatalf("first %v", got.Data)
	}
	metadata := must(kv.GetMetadata(t.Context(), "app/db"))(t)
	if metadata.CurrentVersion != 2 || len(metadata.Versions) != 2 || metadata.UpdatedTime.IsZero() {
		t.Fatalf("metadata %+v", metadata)
	}
	if versions := must(kv.GetVersionsAsList(t.Context(), "app/db"))(t); versions[1].Version != 2 {
		t.Fatalf("versions %+v", versions)
	}
	_, err = kv.Get(t.Context(), "none")
	if !errors.Is(err, api.ErrSecretNotFound) {
		t.Fatalf("a missing secret gave %v", err)
	}
}

func TestKVDeleteUndeleteDestroy(t *testing.T) {
	kv := mounted(t)
	for _, value := range []string{"one", "two", "three"} {
		must(kv.Put(t.Context(), "x", map[string]any{"v": value}))(t)
	}
	ok(t, kv.Delete(t.Context(), "x"))
	deleted := must(kv.Get(t.Context(), "x"))(t)
	if deleted.Data != nil || deleted.VersionMetadata.DeletionTime.IsZero() {
		t.Fatalf("deleted %v", deleted.Data)
	}
	ok(t, kv.Undelete(t.Context(), "x", []int{3}))
	if got := must(kv.Get(t.Context(), "x"))(t); got.Data["v"] != "three" {
		t.Fatalf("undeleted %v", got.Data)
	}
	ok(t, kv.DeleteVersions(t.Context(), "x", []int{1}))
	ok(t, kv.Destroy(t.Context(), "x", []int{2}))
	ok(t, kv.Undelete(t.Context(), "x", []int{1, 2}))
	if got := must(kv.GetVersion(t.Context(), "x", 1))(t); got.Data["v"] != "one" {
		t.Fatalf("first %v", got.Data)
	}
	versions := must(kv.GetMetadata(t.Context(), "x"))(t).Versions
	if !versions["2"].Destroyed || versions["1"].Destroyed {
		t.Fatalf("versions %+v", versions)
	}
}

func TestKVList(t *testing.T) {
	kv := mounted(t)
	for _, path := range []string{"a", "dir/b", "dir/sub/c"} {
		must(kv.Put(t.Context(), path, map[string]any{"v": 1}))(t)
	}
	if list := must(kv.List(t.Context(), ""))(t); !slices.Equal(list.Keys, []string{"a", "dir/"}) {
		t.Fatalf("keys %v", list.Keys)
	}
	if list := must(kv.List(t.Context(), "dir"))(t); !slices.Equal(list.Keys, []string{"b", "sub/"}) {
		t.Fatalf("keys %v", list.Keys)
	}
}

func mounted(t *testing.T) *api.KVv2 {
	t.Helper()
	client := open(t)
	ok(t, client.Sys().Mount("secret", &api.MountInput{Type: "kv-v2"}))
	return client.KVv2("secret")
}
