package daemon_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"nftknock/pkg/control"
	"nftknock/pkg/daemon"
	"nftknock/pkg/lastpolicy"
)

const webRange = `[[access]]
name = "web"
sequence = ["udp/8300", "udp/8100", "udp/8200"]
open = ["tcp/8000-8010"]
`

// A reload says what it shows to everyone, in its answer and in the log.
func TestAReloadSaysWhatIsNoLongerHidden(t *testing.T) {
	r := start(t, ssh+webRange)
	notes := func(text string, want ...string) {
		t.Helper()
		r.next = text
		reloaded, err := r.daemon.Reload(context.Background(), control.Reload{})
		if err != nil || !slices.Equal(reloaded.Notes, want) {
			t.Errorf("notes %q, %v; want %q", reloaded.Notes, err, want)
		}
		for _, n := range want {
			r.log.await(t, "warn: "+n+" [event=no_longer_hidden]")
		}
	}
	notes(ssh + webRange)
	notes(ssh+strings.Replace(webRange, "8010", "8004", 1), "tcp/8005-8010 is no longer hidden: this table lets everyone reach it")
	notes(ssh + webRange)
	notes(ssh + strings.Replace(webRange, "[[access]]", "[[access]]\nenabled = false", 1))
	if got := r.status(control.StatusQuery{}).Hidden; !slices.Equal(got, []string{"tcp/22", "tcp/8000-8010"}) {
		t.Errorf("hidden with a disabled access: %v", got)
	}
	notes("[nftables]\nprotect = [\"tcp/8000-8010\"]\n" + ssh)
	notes("[nftables]\nprotect = [\"tcp/22\"]\n", "tcp/8000-8010 is no longer hidden: this table lets everyone reach it")
	// Without an access, nothing is lost but the way in.
	r.knock(10, 7300, 7100, 7200)
	// A packet that is read after the reload counts for the new policy.
	eventually(t, "packets read", func() bool { return r.source.Stats().Packets == 3 })
	notes(ssh)
	r.knock(11, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.11 ")
	if strings.Contains(r.log.String(), "granted 192.0.2.10 ") {
		t.Error("a knock was granted without an access")
	}
}

// A restart with another policy shows as much as a reload.
func TestAStartSaysWhatIsNoLongerHidden(t *testing.T) {
	for name, find := range map[string]func() (*lastpolicy.Copy, error){
		"there is one": func() (*lastpolicy.Copy, error) {
			return &lastpolicy.Copy{Policy: parse(t, "[nftables]\ninterfaces = [\"eth0\", \"eth1\"]\n"+ssh+webRange)}, nil
		},
		"there is none": func() (*lastpolicy.Copy, error) { return nil, lastpolicy.ErrNone },
	} {
		t.Run(name, func(t *testing.T) {
			r := startChanged(t, "[nftables]\ninterfaces = [\"eth0\"]\n"+ssh, func(_ *rig, c *daemon.Config) { c.FindLast = find })
			said := strings.Contains(r.log.String(), "warn: tcp/8000-8010 is no longer hidden: ") &&
				strings.Contains(r.log.String(), "warn: interface eth1 is no longer guarded: ")
			if said != (name == "there is one") || strings.Contains(r.log.String(), "tcp/22 is no longer") {
				t.Errorf("%s", r.log.String())
			}
		})
	}
}
