// Package conformance drives a Keyfold server with OpenBao's Go client.
//
// KEYFOLD_BIN names the binary. Every test that changes the server's state starts one of its own.
package conformance

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/openbao/openbao/api/v2"
)

const config = `
listener "tcp" {
  address     = "127.0.0.1:%[1]d"
  tls_disable = true
}
storage "redb" {
  path = "%[2]s/store"
}
api_addr = "http://127.0.0.1:%[1]d"
`

// start runs a server on an empty store and returns a client without a token.
func start(t *testing.T) *api.Client {
	t.Helper()
	binary := os.Getenv("KEYFOLD_BIN")
	if binary == "" {
		t.Fatal("KEYFOLD_BIN must name the keyfold binary")
	}
	folder, port := t.TempDir(), freePort(t)
	file := filepath.Join(folder, "server.hcl")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, port, folder), 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(folder, "server.log"))
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command(binary, "server", "-config="+file)
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = server.Process.Kill()
		<-ended
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("server log:\n%s", text)
		}
	})
	await(t, port, ended)

	settings := api.DefaultConfig()
	settings.Address = fmt.Sprintf("http://127.0.0.1:%d", port)
	settings.MaxRetries = 0
	client, err := api.NewClient(settings)
	if err != nil {
		t.Fatal(err)
	}
	client.ClearToken()
	return client
}

// open runs a server, initialises it with one share and returns a client with the root token.
func open(t *testing.T) *api.Client {
	t.Helper()
	client := start(t)
	answer, err := client.Sys().Init(&api.InitRequest{SecretShares: 1, SecretThreshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	status, err := client.Sys().Unseal(answer.Keys[0])
	if err != nil {
		t.Fatal(err)
	}
	if status.Sealed {
		t.Fatal("sealed after the only share")
	}
	client.SetToken(answer.RootToken)
	return client
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// await returns when the server listens; a server that ended or takes too long fails the test.
func await(t *testing.T, port int, ended <-chan struct{}) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
		select {
		case <-ended:
			t.Fatal("the server ended at once")
		case <-time.After(20 * time.Millisecond):
		}
		if connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = connection.Close()
			return
		}
	}
	t.Fatal("the server does not listen")
}

// refused fails the test unless err is an answer with that status code.
func refused(t *testing.T, err error, status int) {
	t.Helper()
	var answer *api.ResponseError
	if !errors.As(err, &answer) || answer.StatusCode != status {
		t.Fatalf("expected status %d, got %v", status, err)
	}
}

// must returns the value, or ends the test.
func must[T any](value T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
