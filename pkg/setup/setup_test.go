package setup

import (
	"bufio"
	"bytes"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/trial"
)

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

// host is a /proc with sshd, reached over IPv4 and IPv6, two of its sessions, a name server on
// lo alone, and a UDP service that two processes share.
func host() fstest.MapFS {
	link := func(to string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(to), Mode: fs.ModeSymlink} }
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	const rest = " 00000000:00000000 00:00000000 00000000     0        0 "
	return fstest.MapFS{
		"net/tcp": file(heading +
			"   0: 00000000:0016 00000000:0000 0A" + rest + "100 1\n" +
			"   1: 0100007F:0035 00000000:0000 0A" + rest + "101 1\n" +
			"   2: 010200C0:0016 0A0200C0:C350 01" + rest + "102 1\n" +
			"   3: 010200C0:0016 0A0200C0:C351 01" + rest + "103 1\n" +
			"   4: 010200C0:0016 0B0200C0:C351 06" + rest + "0 1\n"),
		"net/tcp6": file(heading + "   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A" + rest + "104 1\n"),
		"net/udp": file(heading + "   0: 00000000:CA6C 00000000:0000 07" + rest + "105 1\n" +
			"   1: 010200C0:0044 FE0200C0:0043 01" + rest + "106 1\n"),
		"1/comm":         file("systemd\n"),
		"1/fd/7":         link("socket:[105]"),
		"700/comm":       file("sshd\n"),
		"700/fd/3":       link("socket:[100]"),
		"700/fd/4":       link("socket:[104]"),
		"700/fd/0":       link("/dev/null"),
		"701/comm":       file("wg\x1b[31m\n"),
		"701/fd/3":       link("socket:[105]"),
		"702/comm":       file("gone\n"),
		"self/comm":      file("not a process\n"),
		"703/fd/1":       link("socket:[100]"), // ended before its name was read
		"sys/net/ipv4/x": file("0"),
	}
}

func TestServicesFindsWhatListens(t *testing.T) {
	got, err := Services(host())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range got {
		lines = append(lines, s.String())
	}
	want := []string{"tcp/22 (sshd), connected now: 192.0.2.10", "udp/51820 (systemd, wg?[31m)"}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("services (-want +got):\n%s", diff)
	}
	if ssh := SSH(got); len(ssh) != 1 || ssh[0].String() != "tcp/22" {
		t.Errorf("ssh is %v", ssh)
	}
	if _, err := Services(fstest.MapFS{"net/tcp": {Data: []byte(heading + "0: x y 0A\n")}}); err == nil {
		t.Error("no error for a bad table")
	}
}

// The real /proc, as its owner sees it.
func TestServicesOfThisHost(t *testing.T) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got, err := Services(os.DirFS("/proc"))
	if err != nil {
		t.Fatal(err)
	}
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	want := uint16(l.Addr().(*net.TCPAddr).Port)
	if !slices.ContainsFunc(got, func(s Service) bool {
		return s.First == want && slices.Contains(s.Programs, strings.TrimSpace(string(name)))
	}) {
		t.Errorf("port %d of %s is not among %v", want, name, got)
	}
}

// setupAt is a setup in a new directory.
func setupAt(t *testing.T, change func(*Config)) (c Config, out *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	out = new(bytes.Buffer)
	c = Config{
		File: filepath.Join(dir, "etc", "nftknockd.toml"), Guard: time.Minute, Host: "192.0.2.1", Yes: true, Proc: host(),
		Draft:      Draft{Knock: SIV, StateDir: filepath.Join(dir, "state"), Socket: filepath.Join(dir, "control.sock")},
		Interfaces: func() ([]string, error) { return []string{"eth0", "wg0"}, nil },
		Worked:     func(string) error { return nil },
		Running:    func(string) bool { return false },
		In:         bufio.NewReader(strings.NewReader("")), Out: out,
	}
	change(&c)
	return c, out
}

func TestAFirstPolicyIsValidAndOnTrial(t *testing.T) {
	for _, kind := range Knocks {
		t.Run(string(kind), func(t *testing.T) {
			c, out := setupAt(t, func(c *Config) { c.Draft.Knock = kind; c.Session = netip.MustParseAddr("192.0.2.10") })
			p, err := Run(c)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if len(p.Accesses) != 1 || p.Accesses[0].Open[0].String() != "tcp/22" {
				t.Errorf("accesses %+v", p.Accesses)
			}
			note, err := trial.Read(c.Draft.StateDir)
			if err != nil || *note != (trial.Note{First: true, Guard: time.Minute, Prepared: true}) {
				t.Errorf("note %+v, %v", note, err)
			}
			for _, path := range []string{c.File, filepath.Join(filepath.Dir(c.File), "keys", "first")} {
				if info, err := os.Stat(path); (err != nil || info.Mode() != 0o600) && (kind != Shared || path == c.File) {
					t.Errorf("%s: %v, %v", path, info, err)
				}
			}
			// Also with its key, and without a warning that check would give.
			if _, diags := policy.Check(c.File, policy.Review{}); len(diags) > 0 {
				t.Errorf("%s\n%v", kind, diags)
			}
			for _, want := range []string{"eth0, wg0", "So does this session, from 192.0.2.10", "nftknock 192.0.2.1\n", "within 1m0s, all of this is undone"} {
				if !strings.Contains(out.String(), want) {
					t.Errorf("no %q in\n%s", want, out)
				}
			}
			if key, err := os.ReadFile(filepath.Join(filepath.Dir(c.File), "keys", "first")); err == nil && strings.Contains(out.String(), strings.TrimSpace(string(key))) {
				t.Errorf("the key is printed:\n%s", out)
			}

			// Nobody has confirmed it: the same policy is tried again, and no key is made.
			before, err := os.ReadFile(c.File)
			if err != nil {
				t.Fatal(err)
			}
			if err := trial.Write(c.Draft.StateDir, trial.Note{First: true, Policy: "abc"}); err != nil {
				t.Fatal(err)
			}
			if p, err := Run(c); p == nil || err != nil {
				t.Errorf("once more: %v", err)
			}
			if after, err := os.ReadFile(c.File); err != nil || string(after) != string(before) {
				t.Errorf("the policy is another one: %v", err)
			}
			if note, err := trial.Read(c.Draft.StateDir); err != nil || !note.Prepared {
				t.Errorf("note %+v, %v", note, err)
			}
			c.Running = func(string) bool { return true }
			if _, err := Run(c); err == nil || err.Error() != "the daemon is running" {
				t.Errorf("while it runs: %v", err)
			}
		})
	}
}

func TestSetupRefuses(t *testing.T) {
	write := func(path, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"ok":                     {func(*Config) {}, ""},
		"ok the sample":          {func(c *Config) { write(c.File, "# sample\n"); write(c.File+".sample", "# sample\n") }, ""},
		"bad a changed sample":   {func(c *Config) { write(c.File, "# mine\n"); write(c.File+".sample", "# sample\n") }, "is there already"},
		"bad a policy":           {func(c *Config) { write(c.File, "# mine\n") }, "is there already"},
		"bad accesses in conf.d": {func(c *Config) { write(filepath.Join(filepath.Dir(c.File), "conf.d", "a.toml"), "") }, "conf.d already"},
		"bad a policy that worked": {func(c *Config) {
			c.Worked = func(string) error { return errors.New("a policy has worked on this host before") }
		}, "has worked"},
		"bad no terminal":   {func(c *Config) { c.Yes = false }, "no terminal"},
		"bad no ssh":        {func(c *Config) { c.Proc = fstest.MapFS{"net/tcp": {Data: []byte(heading)}} }, "no ssh listens"},
		"bad no /proc":      {func(c *Config) { c.Proc = fstest.MapFS{} }, "no list of sockets"},
		"bad an icmp":       {func(c *Config) { c.Draft.Open = []port.Range{{}} }, "error"},
		"bad a daemon":      {func(c *Config) { c.Running = func(string) bool { return true } }, "is running"},
		"bad a key is left": {func(c *Config) { write(filepath.Join(filepath.Dir(c.File), "keys", "first"), "x") }, "exists already"},
		"bad answered no": {func(c *Config) {
			c.Yes, c.Terminal, c.In = false, true, bufio.NewReader(strings.NewReader("tcp/22\nn\n"))
		}, "nothing was started"},
		"bad the end of the input": {func(c *Config) { c.Yes, c.Terminal = false, true }, "nothing was started"},
		"ok answered yes": {func(c *Config) {
			c.Yes, c.Terminal, c.In = false, true, bufio.NewReader(strings.NewReader("tcp/443, udp/51820\nyes\n"))
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c, out := setupAt(t, tt.change)
			before, _ := os.ReadFile(c.File)
			p, err := Run(c)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q\n%s", err, tt.want, out)
			}
			if strings.HasPrefix(name, "ok") {
				if p == nil {
					t.Error("no policy")
				}
				return
			}
			after, _ := os.ReadFile(c.File)
			if note, err := trial.Read(c.Draft.StateDir); note != nil || err != nil || string(after) != string(before) {
				t.Errorf("it left a note %+v, %v, or another policy %q", note, err, after)
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(c.File), "keys", "first")); err == nil && tt.want != "exists already" {
				t.Error("it left a key")
			}
		})
	}
}

func TestADryRunWritesNothing(t *testing.T) {
	c, out := setupAt(t, func(c *Config) {
		c.Yes, c.DryRun = false, true
		c.Warnings = func(*policy.Policy) []string { return []string{"a rule of another table drops tcp/22"} }
	})
	if p, err := Run(c); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	if left, err := os.ReadDir(filepath.Dir(filepath.Dir(c.File))); err != nil || len(left) > 0 {
		t.Errorf("it wrote %v, %v", left, err)
	}
	if !strings.Contains(out.String(), "Warning: a rule of another table drops tcp/22\n") {
		t.Errorf("no warning in\n%s", out)
	}
}

func TestSequencesAreRandomAndNotOfServices(t *testing.T) {
	// Nearly all ports are taken: what is left is found.
	var services []Service
	for p := firstPort; p <= lastPort; p++ {
		if p%16 != 0 {
			services = append(services, Service{Range: port.Range{First: uint16(p), Last: uint16(p)}})
		}
	}
	seen := make(map[string]bool)
	for range 20 {
		s := NewSequence(services)
		for _, e := range s {
			r, err := port.ParseKnock(e)
			if err != nil || r.First%16 != 0 {
				t.Errorf("%s: %v", e, err)
			}
		}
		if seen[strings.Join(s, " ")] {
			t.Errorf("twice: %v", s)
		}
		seen[strings.Join(s, " ")] = true
	}
}

func TestHiddenPortsLookLikeTheClosedOnesOfTheHost(t *testing.T) {
	for answer, want := range map[bool]policy.Hide{true: policy.HideReject, false: policy.HideDrop} {
		c, out := setupAt(t, func(c *Config) { c.Answers = func([]port.Range) bool { return answer } })
		if p, err := Run(c); err != nil || p.NFTables.Hide != want {
			t.Errorf("closed ports answer %v: %+v, %v; want %q\n%s", answer, p, err, want, out)
		}
	}
}
