package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nftknock/pkg/secret"
)

// asNobody calls f where it may not read what is ours alone.
func asNobody(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		if os.Geteuid() == 0 {
			const nobody = 65534
			if err := unix.Setfsuid(nobody); err != nil {
				panic(err)
			}
		}
		f()
	}()
	<-done
}

// hostOf makes a policy with a key, a database and a credential that this user alone may
// read, in a directory that all may read. It returns the directory.
func hostOf(t *testing.T) string {
	t.Helper()
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	dir := t.TempDir()
	private := filepath.Join(dir, "keys")
	key, err := secret.Generate(512)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	// Root may read whatever the mode is, and everyone else not what has none.
	mode := os.FileMode(0)
	if os.Geteuid() == 0 {
		mode = 0o600
	}
	policy := fmt.Sprintf(`fingerprint.databases = ["builtin", %q]
[[access]]
name = "in-private-directory"
knock = "encrypted"
key_file = %q
open = ["tcp/22"]
require_os = "plan9"
[[access]]
name = "private"
knock = "encrypted"
key_file = %q
open = ["tcp/22"]
[[access]]
name = "credential"
knock = "spa"
key_credential = "a"
hmac_key_credential = "b"
open = ["tcp/22"]
`, file, filepath.Join(private, "key"), file)
	if err := errors.Join(
		os.Chmod(filepath.Dir(dir), 0o755), // the testing package's own
		os.Chmod(dir, 0o755),
		os.Mkdir(private, 0o700),
		os.WriteFile(filepath.Join(private, "key"), []byte(key.Text()+"\n"), 0o600),
		os.WriteFile(file, []byte(key.Text()+"\n"), mode),
		os.WriteFile(filepath.Join(dir, "nftknockd.toml"), []byte(policy), 0o644),
		os.Chmod(private, mode|mode>>2&0o100),
	); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(private, 0o700) })
	return dir
}

// What a user may not read is warned of, and is no error of the policy.
func TestCheckWithoutThePermissionToReadKeys(t *testing.T) {
	dir := hostOf(t)
	var out strings.Builder
	var err error
	asNobody(func() { err = runCheck(t, &out, filepath.Join(dir, "nftknockd.toml"), checkFlags{}) })
	if err != nil {
		t.Errorf("error %v, want exit status 0", err)
	}
	got := strings.ReplaceAll(out.String(), dir+"/", "")
	const later = "the key was not checked; the daemon checks it when it starts\n"
	for _, want := range []string{
		`nftknockd.toml:1:37: warning: database "file" cannot be read by this user; it was not checked; the daemon checks it when it starts` + "\n",
		"nftknockd.toml:5:12: warning: key_file: cannot be read by this user; " + later,
		"nftknockd.toml:11:12: warning: key_file: cannot be read by this user; " + later,
		"nftknockd.toml:16:18: warning: key_credential: only the daemon has the credentials of its service; " + later,
		"nftknockd.toml:17:23: warning: hmac_key_credential: only the daemon has the credentials of its service; " + later,
		", 3 of 3 accesses enabled\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	// The system may be one of the database that was not read.
	if strings.Contains(got, "plan9") {
		t.Errorf("it judges by a database that it has not read:\n%s", got)
	}
	asNobody(func() { err = runCheck(t, &out, filepath.Join(dir, "nftknockd.toml"), checkFlags{strict: true}) })
	if exit := (exitError{}); !errors.As(err, &exit) || exit.code != exitFailed || !strings.Contains(exit.Error(), "--strict allows none") {
		t.Errorf("--strict: %v, want exit status 1 and why", err)
	}
}

func TestCheckWithoutKeysOpensNone(t *testing.T) {
	dir := hostOf(t)
	var out strings.Builder
	path := filepath.Join(dir, "nftknockd.toml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// Neither that the files are missing nor who may write the policy matters elsewhere.
	missing := strings.ReplaceAll(string(text), dir, "/nowhere")
	if err := errors.Join(os.WriteFile(path, []byte(missing), 0o666), os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	if err := runCheck(t, &out, path, checkFlags{noKeys: true, strict: true}); err != nil {
		t.Errorf("error %v", err)
	}
	if diff := cmp.Diff(path+": ok, 3 of 3 accesses enabled\n", out.String()); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
}

// runCheck is check as the command calls it.
func runCheck(t *testing.T, out *strings.Builder, file string, f checkFlags) error {
	t.Helper()
	cmd := newCheck(new(options))
	cmd.SetOut(out)
	cmd.SetErr(out)
	return check(cmd, new(options), file, f)
}

func TestCheckNamesTheFileThatReplaces(t *testing.T) {
	dir := hostOf(t)
	var out strings.Builder
	err := runCheck(t, &out, filepath.Join(dir, "nftknockd.toml"), checkFlags{replace: []string{"conf.d/new.toml=/nonexistent/new"}})
	const want = "conf.d/new.toml (text of /nonexistent/new): error: cannot read it: no such file or directory; want a file that can be read in its place\n"
	if err == nil || !strings.Contains(out.String(), want) {
		t.Errorf("%v, and no %q in:\n%s", err, want, out.String())
	}
}
