package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/pkg/control"
)

// halfway is a daemon that ends two grants, and fails to list connections.
type halfway struct{ control.Handler }

func (halfway) Reload(context.Context, control.Reload) (control.Reloaded, error) {
	return control.Reloaded{}, nil
}

func (halfway) Revoke(context.Context, control.Revocation) (control.Revoked, error) {
	return control.Revoked{Grants: 2}, errors.New("cannot list connections")
}

// Whoever revokes learns what has ended, also if the rest fails.
func TestRevokeThatFailsHalfway(t *testing.T) {
	dir := t.TempDir()
	socket, policy := filepath.Join(dir, "run", "control.sock"), filepath.Join(dir, "nftknockd.toml")
	if err := os.WriteFile(policy, []byte("[control]\nsocket = \""+socket+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := control.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = control.Serve(t.Context(), l, halfway{}) }()
	var out strings.Builder
	cmd := newRevoke(&options{config: policy})
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs([]string{"192.0.2.1", "--cut"})
	err = cmd.ExecuteContext(t.Context())
	if err == nil || !strings.Contains(err.Error(), "cannot list connections") {
		t.Errorf("error %v, want that of the daemon", err)
	}
	if want := "2 grants revoked, 0 connections cut\n"; !strings.HasPrefix(out.String(), want) {
		t.Errorf("%q, want %q first", out.String(), want)
	}
}
