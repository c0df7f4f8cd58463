package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nftknock/test/lab"
)

// output runs a command that succeeds.
func (s *stage) output(args ...string) string {
	s.Helper()
	out, err := exec.Command(filepath.Join(s.Programs, "nftknockd"), append(args, "--config", s.policy)...).Output()
	if err != nil {
		s.Fatalf("nftknockd %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func TestStatusAndGrants(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	s.start(access("ssh", three, "20s"))
	first, second := s.Clients[0], s.Clients[1]
	s.command(0, "", "status", "--ready")
	s.command(0, "tcp/22 (drop)", "status")
	s.knock(first, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.wantOpen(first, lab.Server4, true)

	// An owned table takes no element from nft; the daemon gives the grant.
	s.wantOpen(second, lab.Server4, false)
	s.command(0, "granted "+second.Addr4.String()+" access to tcp/22 for 1m through access \"ssh\"",
		"grant", second.Addr4.String(), "tcp/22", "--for", "1m")
	s.await("granted " + second.Addr4.String() + " access to tcp/22 for 1m by hand, as user 0 asked")
	s.wantOpen(second, lab.Server4, true)
	s.command(1, "tcp/23 is not hidden", "grant", second.Addr4.String(), "tcp/23")
	s.command(2, "bad --for", "grant", second.Addr4.String(), "tcp/22", "--for", "25h")

	knocks := make(map[string]string)
	for _, line := range strings.Split(strings.TrimSpace(s.output("grants", "--json")), "\n") {
		var g struct {
			Src, Prefix, Open, Access, Knock string
			OS                               *string
			Remaining                        float64 `json:"remaining_s"`
			Packets, Bytes                   uint64
		}
		if err := json.Unmarshal([]byte(line), &g); err != nil {
			t.Fatal(err)
		}
		if g.Open != "tcp/22" || g.Access != "ssh" || g.OS == nil || g.Remaining <= 0 || g.Remaining > 60 || g.Packets == 0 || g.Bytes == 0 {
			t.Errorf("%s", line)
		}
		knocks[g.Src] = g.Knock
	}
	if len(knocks) != 2 || knocks[first.Addr4.String()] != "shared" || knocks[second.Addr4.String()] != "by-hand" {
		t.Errorf("grants %v", knocks)
	}
	var status struct {
		Ready              bool
		Problems           []struct{ Name, Text string }
		Packets, Lost      uint64
		Grants, Accesses   int
		Owner, Mode, Store string
		Hidden             []string
	}
	if err := json.Unmarshal([]byte(s.output("status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	if !status.Ready || len(status.Problems) != 0 || status.Packets < 3 || status.Grants != 2 || status.Accesses != 1 ||
		status.Mode != "gate" || status.Owner == "" || len(status.Hidden) != 1 {
		t.Errorf("status %+v", status)
	}
	s.command(0, "1 grant revoked", "revoke", second.Addr4.String())
	s.wantOpen(second, lab.Server4, false)
}

// What a change would take, and what it opens, can be known before, and is told after it.
func TestCheckAgainstTheRunningDaemon(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	c := s.Clients[0]
	ssh := access("ssh", three, "1m")
	web := strings.Replace(access("web", "udp/6001 udp/6002", "20s"), "tcp/22", "tcp/8000-8010", 1)
	s.write(ssh)
	s.command(1, "against the running daemon: not running", "check", "--against-running")
	s.start(ssh + web)
	last := func(want string, more ...string) {
		t.Helper()
		out := s.output("check", "--against-running")
		if !strings.HasSuffix(out, "against the running daemon: "+want+"\n") {
			t.Errorf("want %s at the end of\n%s", want, out)
		}
		for _, text := range more {
			if !strings.Contains(out, text) {
				t.Errorf("no %q in\n%s", text, out)
			}
		}
	}
	const open = "tcp/8000-8010 is no longer hidden: this table lets everyone reach it"
	last("nothing")
	s.write(ssh + strings.Replace(web, "6002", "6003", 1))
	last("reload", `changed: access "web"`)
	s.write("nflog.group = 9\n" + ssh + web)
	last("restart", "changed: [nflog] group")
	s.knock(c, lab.Server4, strings.Fields(three)...)
	s.await("granted ")
	s.write(strings.Replace(ssh, `"ssh"`, `"door"`, 1))
	last("reload", "warning: "+open, "warning: the grant of "+c.Addr4.String()+` to tcp/22 would end or shrink: access "ssh" was removed by the reload`)
	var a struct {
		Running  string                 `json:"against_running"`
		NoLonger []string               `json:"no_longer_hidden"`
		Ending   []struct{ Src string } `json:"grants_ending"`
	}
	lines := strings.Split(strings.TrimSpace(s.output("check", "--against-running", "--json")), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &a); err != nil || a.Running != "reload" || len(a.NoLonger) != 1 || len(a.Ending) != 1 {
		t.Errorf("as JSON: %+v, %v", a, err)
	}
	// Nothing of that was done.
	s.wantOpen(c, lab.Server4, true)

	s.write(ssh)
	s.command(0, open, "reload")
	s.await(open)
	last("nothing")

	// A date that passes, and an access that is turned off, show nothing to anyone.
	s.write(access("ssh", three, "1m", "enabled = false") + web)
	s.command(0, "", "reload")
	s.wantOpen(c, lab.Server4, false)
	s.write(access("ssh", three, "1m", "expires = 2020-01-01") + web)
	s.command(0, "", "reload")
	s.wantOpen(c, lab.Server4, false)
	s.write("nftables.protect = [\"tcp/22\"]\n")
	s.command(0, open, "reload")
	s.wantOpen(c, lab.Server4, false)
}
