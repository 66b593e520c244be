package conformance

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/openbao/openbao/api/v2"
)

// transit writes to a path below a transit mount and returns the data.
type transit func(path string, body map[string]any) (map[string]any, error)

func TestTransitRoundTrip(t *testing.T) {
	client, write := withTransit(t)
	for _, kind := range []string{"aes128-gcm96", "aes256-gcm96", "chacha20-poly1305"} {
		must(write("keys/"+kind, map[string]any{"type": kind}))(t)
		if key := must(client.Logical().Read("transit/keys/" + kind))(t); key.Data["type"] != kind {
			t.Fatalf("key %v", key.Data)
		}
		body := map[string]any{"plaintext": b64("hello"), "associated_data": b64("row 7")}
		sealed := must(write("encrypt/"+kind, body))(t)["ciphertext"]
		opened := must(write("decrypt/"+kind, map[string]any{"ciphertext": sealed, "associated_data": b64("row 7")}))(t)
		if opened["plaintext"] != b64("hello") {
			t.Fatalf("%s opened %v", kind, opened)
		}
		_, err := write("decrypt/"+kind, map[string]any{"ciphertext": sealed})
		refused(t, err, 400)
	}
	keys := must(client.Logical().List("transit/keys"))(t).Data["keys"].([]any)
	if len(keys) != 3 {
		t.Fatalf("keys %v", keys)
	}
}

func TestTransitRotateAndRewrap(t *testing.T) {
	_, write := withTransit(t)
	must(write("keys/k", nil))(t)
	old := must(write("encrypt/k", map[string]any{"plaintext": b64("hello")}))(t)["ciphertext"]
	must(write("keys/k/rotate", nil))(t)
	fresh := must(write("rewrap/k", map[string]any{"ciphertext": old}))(t)["ciphertext"].(string)
	if !strings.HasPrefix(fresh, "vault:v2:") {
		t.Fatalf("rewrapped %s", fresh)
	}
	must(write("keys/k/config", map[string]any{"min_decryption_version": 2}))(t)
	_, err := write("decrypt/k", map[string]any{"ciphertext": old})
	refused(t, err, 400)
	if opened := must(write("decrypt/k", map[string]any{"ciphertext": fresh}))(t); opened["plaintext"] != b64("hello") {
		t.Fatalf("opened %v", opened)
	}
}

func TestTransitBatch(t *testing.T) {
	_, write := withTransit(t)
	must(write("keys/k", nil))(t)
	items := []map[string]any{{"plaintext": b64("one"), "reference": "a"}, {"plaintext": b64("two")}}
	results := must(write("encrypt/k", map[string]any{"batch_input": items}))(t)["batch_results"].([]any)
	first := results[0].(map[string]any)
	if first["reference"] != "a" || len(results) != 2 {
		t.Fatalf("results %v", results)
	}
	items = []map[string]any{{"ciphertext": first["ciphertext"]}, {"ciphertext": "hello"}}
	body := map[string]any{"batch_input": items, "partial_failure_response_code": 200}
	results = must(write("decrypt/k", body))(t)["batch_results"].([]any)
	if results[0].(map[string]any)["plaintext"] != b64("one") || results[1].(map[string]any)["error"] == nil {
		t.Fatalf("results %v", results)
	}
}

func TestTransitDerivedKeysAndDataKeys(t *testing.T) {
	_, write := withTransit(t)
	must(write("keys/d", map[string]any{"derived": true}))(t)
	sealed := must(write("encrypt/d", map[string]any{"plaintext": b64("x"), "context": b64("A")}))(t)["ciphertext"]
	opened := must(write("decrypt/d", map[string]any{"ciphertext": sealed, "context": b64("A")}))(t)
	if opened["plaintext"] != b64("x") {
		t.Fatalf("opened %v", opened)
	}
	_, err := write("decrypt/d", map[string]any{"ciphertext": sealed, "context": b64("B")})
	refused(t, err, 400)

	must(write("keys/k", nil))(t)
	data := must(write("datakey/plaintext/k", nil))(t)
	opened = must(write("decrypt/k", map[string]any{"ciphertext": data["ciphertext"]}))(t)
	if opened["plaintext"] != data["plaintext"] {
		t.Fatal("the data key opens to another one")
	}
	if wrapped := must(write("datakey/wrapped/k", map[string]any{"bits": 512}))(t); wrapped["plaintext"] != nil {
		t.Fatal("a wrapped data key came with its plaintext")
	}
}

func TestTransitSignAndVerify(t *testing.T) {
	client, write := withTransit(t)
	for _, kind := range []string{"ed25519", "ecdsa-p256", "ecdsa-p521", "rsa-3072"} {
		must(write("keys/"+kind, map[string]any{"type": kind}))(t)
		key := must(client.Logical().Read("transit/keys/" + kind))(t).Data["keys"].(map[string]any)["1"].(map[string]any)
		if key["public_key"] == "" {
			t.Fatalf("%s has no public key: %v", kind, key)
		}
		signature := must(write("sign/"+kind+"/sha2-512", map[string]any{"input": b64("hello")}))(t)["signature"]
		for text, valid := range map[string]bool{"hello": true, "hallo": false} {
			body := map[string]any{"input": b64(text), "signature": signature}
			if got := must(write("verify/"+kind+"/sha2-512", body))(t)["valid"]; got != valid {
				t.Fatalf("%s: %s is %v", kind, text, got)
			}
		}
	}
}

// What SOPS asks for: one data key for each file, sent to encrypt and decrypt as it is.
func TestTransitAsSopsUsesIt(t *testing.T) {
	client, write := withTransit(t)
	must(write("keys/sops", map[string]any{"type": "rsa-4096"}))(t)
	sealed := must(client.Logical().Write("transit/encrypt/sops", map[string]any{"plaintext": b64("a data key")}))(t)
	ciphertext := sealed.Data["ciphertext"].(string)
	opened := must(client.Logical().Write("transit/decrypt/sops", map[string]any{"ciphertext": ciphertext}))(t)
	if opened.Data["plaintext"] != b64("a data key") {
		t.Fatalf("opened %v", opened.Data)
	}
}

// What Tink's AEAD over a KMS asks for: associated data, which may be empty.
func TestTransitAsTinkUsesIt(t *testing.T) {
	_, write := withTransit(t)
	must(write("keys/tink", map[string]any{"type": "aes256-gcm96"}))(t)
	for _, bound := range []string{"", b64("row 7")} {
		body := map[string]any{"plaintext": b64("x"), "associated_data": bound, "context": ""}
		sealed := must(write("encrypt/tink", body))(t)["ciphertext"]
		body = map[string]any{"ciphertext": sealed, "associated_data": bound, "context": ""}
		if opened := must(write("decrypt/tink", body))(t); opened["plaintext"] != b64("x") {
			t.Fatalf("opened %v", opened)
		}
		_, err := write("decrypt/tink", map[string]any{"ciphertext": sealed, "associated_data": b64("row 8")})
		refused(t, err, 400)
	}
}

func withTransit(t *testing.T) (*api.Client, transit) {
	t.Helper()
	client := open(t)
	ok(t, client.Sys().Mount("transit", &api.MountInput{Type: "transit"}))
	return client, func(path string, body map[string]any) (map[string]any, error) {
		secret, err := client.Logical().Write("transit/"+path, body)
		if err != nil || secret == nil {
			return nil, err
		}
		return secret.Data, nil
	}
}

func b64(text string) string {
	return base64.StdEncoding.EncodeToString([]byte(text))
}
