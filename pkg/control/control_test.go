package control_test

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/control"
)

// daemon answers as a test wants.
type daemon struct {
	control.Handler // nil: for requests that no test here sends
	reload          func(context.Context) error
}

func (d daemon) Reload(ctx context.Context, _ control.Reload) (control.Reloaded, error) {
	return control.Reloaded{}, d.reload(ctx)
}

// Revoke revokes as many grants as the source's prefix has bits, and fails at what
// is no service, and at udp/53 after it has revoked them.
func (d daemon) Revoke(_ context.Context, r control.Revocation) (control.Revoked, error) {
	if r.Service == "tcp/0" {
		return control.Revoked{}, errors.New("bad port in service")
	}
	done := control.Revoked{Grants: r.Source.Bits()}
	if r.Service == "udp/53" {
		return done, errors.New("cannot list connections")
	}
	if r.Cut {
		done.Connections = len(r.Service)
	}
	return done, nil
}

// reload asks the daemon at path to reload.
func reload(path string) error {
	_, err := control.NewClient(path).Reload(context.Background(), control.Reload{})
	return err
}

// serve runs a server at a new path until the test ends or stop is called.
func serve(t *testing.T, reload func(context.Context) error) (path string, stop func() error) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "run", "control.sock")
	l, err := control.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- control.Serve(ctx, l, daemon{reload: reload}) }()
	stop = func() error { cancel(); return <-done }
	t.Cleanup(cancel)
	return path, stop
}

func TestReload(t *testing.T) {
	want := errors.New("nftknockd.toml:3:7: error: no \"<such>\" key\nand more")
	path, stop := serve(t, func(context.Context) error { return want })
	err := reload(path)
	if err == nil || err.Error() != want.Error() {
		t.Errorf("failed reload: %v, want %v", err, want)
	}
	if err := stop(); err != nil {
		t.Errorf("serve: %v", err)
	}
	path, _ = serve(t, func(context.Context) error { return nil })
	if err := reload(path); err != nil {
		t.Errorf("good reload: %v", err)
	}
}

func TestRevoke(t *testing.T) {
	path, _ := serve(t, nil)
	client := control.NewClient(path)
	for _, tt := range []struct {
		source, service string
		cut             bool
		want            control.Revoked
		err             string
	}{
		{"192.0.2.1", "", false, control.Revoked{Grants: 32}, ""},
		{"::ffff:192.0.2.1", "tcp/22", true, control.Revoked{Grants: 32, Connections: 6}, ""},
		{"::ffff:192.0.2.0/120", "", false, control.Revoked{Grants: 24}, ""},
		{"2001:db8::/48", "tcp/8000-8010", true, control.Revoked{Grants: 48, Connections: 13}, ""},
		{"192.0.2.1", "udp/53", true, control.Revoked{Grants: 32}, "cannot list connections"},
		{"192.0.2.1", "tcp/0", true, control.Revoked{}, "bad port in service"},
	} {
		source, err := control.ParseSource(tt.source)
		if err != nil {
			t.Fatal(err)
		}
		got, err := client.Revoke(context.Background(), control.Revocation{Source: source, Service: tt.service, Cut: tt.cut})
		if got != tt.want || fmt.Sprint(err) != cmp.Or(tt.err, "<nil>") {
			t.Errorf("%s %s: %+v, %v; want %+v, %s", tt.source, tt.service, got, err, tt.want, tt.err)
		}
	}
}

func TestParseSource(t *testing.T) {
	for _, s := range []string{"", "all", "192.0.2.1/24", "::ffff:192.0.2.1/120", "fe80::1%eth0", "192.0.2.0/33", "192.0.2.1,192.0.2.2"} {
		if p, err := control.ParseSource(s); err == nil {
			t.Errorf("%q is %v", s, p)
		}
	}
}

func TestOnlyTheUserMayOpenTheSocket(t *testing.T) {
	path, stop := serve(t, nil)
	info, err := os.Stat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("mode %v, %v; want a socket of mode 0600", info.Mode(), err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

func TestListen(t *testing.T) {
	path, _ := serve(t, nil)
	_, err := control.Listen(path)
	if !errors.Is(err, control.ErrRunning) || !strings.Contains(err.Error(), path) {
		t.Errorf("a second daemon: %v, want ErrRunning and the path", err)
	}

	stale := filepath.Join(t.TempDir(), "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	again, err := control.Listen(stale)
	if err != nil {
		t.Fatalf("a stale socket: %v", err)
	}
	again.Close()

	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("keep me"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := control.Listen(file); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file in the way: %v", err)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "keep me" {
		t.Errorf("the file in the way: %q, %v", b, err)
	}
	if _, err := control.Listen("/nowhere/at/all.sock"); err == nil || !strings.Contains(err.Error(), "[control]") {
		t.Errorf("no directory: %v, want the key to change", err)
	}
}

func TestNobodyListens(t *testing.T) {
	err := reload(filepath.Join(t.TempDir(), "no.sock"))
	if !errors.Is(err, control.ErrNotRunning) {
		t.Errorf("%v, want ErrNotRunning", err)
	}
}

// What is no request that we know is refused, and hurts nobody.
func TestStrangeRequests(t *testing.T) {
	path, _ := serve(t, func(context.Context) error { return nil })
	for request, want := range map[string]string{
		"GET /reload HTTP/1.1\r\nHost: x\r\n\r\n":                                             "405",
		"POST /revoke?source=x HTTP/1.1\r\nHost: x\r\n\r\n":                                   "409",
		"POST /nothing HTTP/1.1\r\nHost: x\r\n\r\n":                                           "404",
		"\x00\xff\r\n\r\n":                                                                    "400",
		"POST /reload HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 1<<16) + "\r\n\r\n":   "431",
		"POST /reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n": "400",
	} {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		go func() { _, _ = io.WriteString(conn, request) }()
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%.30q: %v", request, err)
			continue
		}
		resp.Body.Close()
		if fmt.Sprint(resp.StatusCode) != want {
			t.Errorf("%.30q: %s, want %s", request, resp.Status, want)
		}
		conn.Close()
	}
	if err := reload(path); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestAStopEndsARequestUnderWay(t *testing.T) {
	begun := make(chan struct{})
	path, stop := serve(t, func(ctx context.Context) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	failed := make(chan error, 1)
	go func() { failed <- reload(path) }()
	<-begun
	if err := stop(); err != nil {
		t.Error(err)
	}
	select {
	case err := <-failed:
		if err == nil {
			t.Error("a reload that was broken off succeeded")
		}
	case <-time.After(10 * time.Second):
		t.Error("the request goes on")
	}
}

func FuzzParseSource(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "2001:db8::/48", "::ffff:192.0.2.0/120", "fe80::1%eth0", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := control.ParseSource(s)
		if err != nil {
			if p.IsValid() {
				t.Errorf("%q: %v and %v", s, p, err)
			}
			return
		}
		if again, err := control.ParseSource(p.String()); err != nil || again != p {
			t.Errorf("%q is %v, which is %v, %v", s, p, again, err)
		}
	})
}
