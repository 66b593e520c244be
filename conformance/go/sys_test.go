package conformance

import (
	"slices"
	"testing"

	"github.com/openbao/openbao/api/v2"
)

func TestFromNothingToOpenAndSealedAgain(t *testing.T) {
	client := start(t)
	sys := client.Sys()
	if must(sys.InitStatus())(t) {
		t.Fatal("initialised before init")
	}
	answer := must(sys.Init(&api.InitRequest{SecretShares: 5, SecretThreshold: 3}))(t)
	if len(answer.Keys) != 5 || len(answer.KeysB64) != 5 || answer.RootToken == "" {
		t.Fatalf("init gave %d keys", len(answer.Keys))
	}
	status := must(sys.SealStatus())(t)
	if !status.Sealed || !status.Initialized || status.T != 3 || status.N != 5 || status.Type != "shamir" {
		t.Fatalf("seal status %+v", status)
	}
	if status = must(sys.Unseal(answer.Keys[0]))(t); status.Progress != 1 || status.Nonce == "" {
		t.Fatalf("after one share %+v", status)
	}
	if status = must(sys.ResetUnsealProcess())(t); status.Progress != 0 {
		t.Fatalf("after reset %+v", status)
	}
	for _, share := range []string{answer.Keys[4], answer.KeysB64[2], answer.Keys[1]} {
		status = must(sys.Unseal(share))(t)
	}
	if status.Sealed {
		t.Fatalf("after three shares %+v", status)
	}
	health := must(sys.Health())(t)
	if !health.Initialized || health.Sealed || health.Standby {
		t.Fatalf("health %+v", health)
	}
	if leader := must(sys.Leader())(t); leader.HAEnabled {
		t.Fatalf("leader %+v", leader)
	}
	client.SetToken(answer.RootToken)
	ok(t, sys.Seal())
	if !must(sys.SealStatus())(t).Sealed {
		t.Fatal("open after seal")
	}
	_, err := client.Auth().Token().LookupSelf()
	refused(t, err, 503)
}

func TestMounts(t *testing.T) {
	sys := open(t).Sys()
	ok(t, sys.Mount("team/one", &api.MountInput{
		Type: "kv-v2", Description: "d", Config: api.MountConfigInput{DefaultLeaseTTL: "1h", MaxLeaseTTL: "2h"},
	}))
	mount := must(sys.ListMounts())(t)["team/one/"]
	if mount == nil || mount.Type != "kv" || mount.Options["version"] != "2" || mount.Config.MaxLeaseTTL != 7200 {
		t.Fatalf("mount %+v", mount)
	}
	refused(t, sys.Mount("team", &api.MountInput{Type: "transit"}), 400)
	refused(t, sys.Mount("other", &api.MountInput{Type: "nope"}), 400)
	ok(t, sys.TuneMount("team/one", api.MountConfigInput{MaxLeaseTTL: "3h"}))
	if config := must(sys.MountConfig("team/one"))(t); config.MaxLeaseTTL != 10800 || config.DefaultLeaseTTL != 3600 {
		t.Fatalf("tuned %+v", config)
	}
	ok(t, sys.Unmount("team/one"))
	if must(sys.ListMounts())(t)["team/one/"] != nil {
		t.Fatal("still mounted")
	}
}

func TestPoliciesAndCapabilities(t *testing.T) {
	client := open(t)
	sys := client.Sys()
	const text = `path "secret/data/app/*" { capabilities = ["read", "create"] }`
	ok(t, sys.PutPolicy("app", text))
	if got := must(sys.GetPolicy("app"))(t); got != text {
		t.Fatalf("policy %q", got)
	}
	if names := must(sys.ListPolicies())(t); !slices.Equal(names, []string{"app", "default", "root"}) {
		t.Fatalf("policies %v", names)
	}
	old := must(client.Logical().Read("sys/policy/app"))(t)
	if old.Data["rules"] != text {
		t.Fatalf("old family %v", old.Data)
	}
	refused(t, sys.PutPolicy("bad", `path "a" { capabilities = ["fly"] }`), 400)

	secret := must(client.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"app"}}))(t)
	client.SetToken(secret.Auth.ClientToken)
	if got := must(sys.CapabilitiesSelf("secret/data/app/x"))(t); !slices.Equal(got, []string{"create", "read"}) {
		t.Fatalf("capabilities %v", got)
	}
	if got := must(sys.CapabilitiesSelf("other"))(t); !slices.Equal(got, []string{"deny"}) {
		t.Fatalf("capabilities %v", got)
	}
	_, err := sys.ListMounts()
	refused(t, err, 403)
}

func TestRotationOfTheKeyring(t *testing.T) {
	sys := open(t).Sys()
	before := must(sys.KeyStatus())(t)
	ok(t, sys.Rotate())
	if after := must(sys.KeyStatus())(t); after.Term != before.Term+1 || after.InstallTime.IsZero() {
		t.Fatalf("term %d after %d", after.Term, before.Term)
	}
}
