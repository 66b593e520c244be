package conformance

import (
	"testing"

	"github.com/openbao/openbao/api/v2"
)

func TestTokenLife(t *testing.T) {
	client := open(t)
	token := client.Auth().Token()
	auth := must(token.Create(&api.TokenCreateRequest{
		Policies: []string{"default"}, TTL: "1h", ExplicitMaxTTL: "3h", Metadata: map[string]string{"team": "x"},
	}))(t).Auth
	if auth.LeaseDuration != 3600 || !auth.Renewable || auth.Metadata["team"] != "x" {
		t.Fatalf("auth %+v", auth)
	}
	looked := must(token.Lookup(auth.ClientToken))(t)
	if looked.Data["accessor"] != auth.Accessor || looked.Data["display_name"] != "token" {
		t.Fatalf("lookup %v", looked.Data)
	}
	ttl, err := looked.TokenTTL()
	ok(t, err)
	if ttl <= 0 {
		t.Fatalf("ttl %v", ttl)
	}
	policies, err := looked.TokenPolicies()
	ok(t, err)
	if len(policies) != 1 || policies[0] != "default" {
		t.Fatalf("policies %v", policies)
	}
	if renewed := must(token.Renew(auth.ClientToken, 1800))(t); renewed.Auth.LeaseDuration != 1800 {
		t.Fatalf("renewed %+v", renewed.Auth)
	}
	if renewed := must(token.RenewAccessor(auth.Accessor, 2400))(t); renewed.Auth.LeaseDuration != 2400 {
		t.Fatalf("renewed %+v", renewed.Auth)
	}
	must(token.LookupAccessor(auth.Accessor))(t)
	ok(t, token.RevokeAccessor(auth.Accessor))
	_, err = token.Lookup(auth.ClientToken)
	refused(t, err, 403)
}

func TestRevocationTree(t *testing.T) {
	root := open(t)
	ok(t, root.Sys().PutPolicy("maker", `path "auth/token/create" { capabilities = ["create", "update"] }`))
	create := func(as string, orphan bool) *api.SecretAuth {
		client := must(root.Clone())(t)
		client.SetToken(as)
		request := &api.TokenCreateRequest{Policies: []string{"maker"}, NoParent: orphan}
		return must(client.Auth().Token().Create(request))(t).Auth
	}
	alive := func(token string) bool {
		_, err := root.Auth().Token().Lookup(token)
		return err == nil
	}
	parent := create(root.Token(), false)
	child := create(parent.ClientToken, false)
	leaf := create(child.ClientToken, false)
	orphan := create(root.Token(), true)
	if !orphan.Orphan || leaf.Orphan {
		t.Fatal("orphan is told wrongly")
	}
	ok(t, root.Auth().Token().RevokeTree(parent.ClientToken))
	for _, token := range []string{parent.ClientToken, child.ClientToken, leaf.ClientToken} {
		if alive(token) {
			t.Fatal("a token of a revoked tree is alive")
		}
	}
	if !alive(orphan.ClientToken) {
		t.Fatal("an orphan went with the tree")
	}
	kept := create(orphan.ClientToken, false)
	ok(t, root.Auth().Token().RevokeOrphan(orphan.ClientToken))
	if alive(orphan.ClientToken) || !alive(kept.ClientToken) {
		t.Fatal("revoke-orphan takes the token alone")
	}
}

func TestUsesAndPeriod(t *testing.T) {
	root := open(t)
	limited := must(root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"default"}, NumUses: 2}))(t)
	client := must(root.Clone())(t)
	client.SetToken(limited.Auth.ClientToken)
	must(client.Auth().Token().LookupSelf())(t)
	must(client.Auth().Token().LookupSelf())(t)
	_, err := client.Auth().Token().LookupSelf()
	refused(t, err, 403)

	periodic := must(root.Auth().Token().Create(&api.TokenCreateRequest{Policies: []string{"default"}, Period: "10m"}))(t)
	client.SetToken(periodic.Auth.ClientToken)
	if renewed := must(client.Auth().Token().RenewSelf(7200))(t); renewed.Auth.LeaseDuration != 600 {
		t.Fatalf("renewed %+v", renewed.Auth)
	}
	ok(t, client.Auth().Token().RevokeSelf(""))
	_, err = client.Auth().Token().LookupSelf()
	refused(t, err, 403)
}
