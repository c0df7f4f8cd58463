package daemon_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"nftknock/pkg/control"
	"nftknock/pkg/daemon"
	"nftknock/pkg/gate"
	"nftknock/pkg/nflog"
)

const sshBySet = "[nftables]\nmode = \"set\"\nset4 = \"inet filter clients\"\n" + ssh

var (
	clients   = gate.SetName{Family: "inet", Table: "filter", Name: "clients"}
	ofClients = gate.FakeSet{Key: []nftables.SetDatatype{nftables.TypeIPAddr}, Flags: unix.NFT_SET_TIMEOUT}
)

// inClients awaits that the set has some number of elements.
func (r *rig) inClients(want int) {
	r.Helper()
	eventually(r, "elements in the set", func() bool { return len(r.gate.InSet(clients)) == want })
}

// A set that is missing is told once, while the daemon runs and refuses knocks, and so is
// that it is there.
func TestASetOfTheFirewallThatIsMissing(t *testing.T) {
	r := start(t, sshBySet)
	const missing = "set inet filter clients cannot take grants: it is not there (load the firewall that defines it)"
	r.log.await(t, "knocks are refused: "+missing+"; retrying every second")
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "cannot grant 192.0.2.10 access to tcp/22: grant tcp/22 to 192.0.2.10/32: "+missing)
	if s := r.status(control.StatusQuery{}); s.Ready || len(s.Problems) != 1 || s.Problems[0].Name != "sets" || !strings.Contains(s.Problems[0].Text, missing) {
		t.Errorf("status %+v", s)
	}
	time.Sleep(1200 * time.Millisecond) // so that it is looked at again
	r.gate.MakeSet(clients, ofClients)
	r.log.await(t, "the firewall's sets take grants again")
	r.knock(11, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.11 ")
	r.inClients(1)
	if s := r.status(control.StatusQuery{}); !s.Ready || len(s.Problems) != 0 || s.Mode != "set" || len(s.Hidden) != 0 {
		t.Errorf("status %+v", s)
	}
	if n := strings.Count(r.log.String(), "knocks are refused: "); n != 1 {
		t.Errorf("told %d times:\n%s", n, &r.log)
	}
}

// Running grants go on in a set that is made anew, and end with their access.
func TestASetOfTheFirewallThatIsMadeAnew(t *testing.T) {
	g := newGate(t)
	g.MakeSet(clients, ofClients)
	r := startOn(t, g, sshBySet)
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 ")
	r.inClients(1)
	g.MakeSet(clients, ofClients)
	r.inClients(1)
	if err := r.reload(strings.ReplaceAll(sshBySet, `name = "ssh"`, `name = "other"`)); err != nil {
		t.Fatal(err)
	}
	r.inClients(0)
}

// Services stay hidden if the sets are missing that are to let grants pass instead.
func TestAReloadToSetsThatAreMissing(t *testing.T) {
	r := start(t, ssh)
	if err := r.reload(sshBySet); err == nil || !strings.Contains(err.Error(), "services stay hidden by mode gate: set inet filter clients cannot take grants: it is not there") {
		t.Errorf("reload: %v", err)
	}
	if hidden := r.gate.Ruleset().Hidden(); len(hidden) != 1 {
		t.Errorf("hidden: %v", hidden)
	}
	r.gate.MakeSet(clients, ofClients)
	if err := r.reload(sshBySet); err != nil {
		t.Fatal(err)
	}
	if hidden := r.gate.Ruleset().Hidden(); len(hidden) != 0 {
		t.Errorf("hidden: %v", hidden)
	}
	if err := r.reload("[nftables]\nmode = \"mark\"\nmark = \"0x10000\"\n" + ssh); err != nil {
		t.Fatal(err)
	}
	if got := r.gate.Ruleset(); got.Mark != 0x10000 || got.Mode != gate.ModeMark || len(got.Protected) != 1 || len(got.Hidden()) != 0 {
		t.Errorf("ruleset %+v", got)
	}
}

// In modes set and mark our table hides nothing: no line and no condition says that services
// are hidden by it, or open without it.
func TestNothingIsSaidToBeHiddenByATableThatHidesNothing(t *testing.T) {
	for name, text := range map[string]string{
		"set": sshBySet, "mark": "[nftables]\nmode = \"mark\"\nmark = \"0x10000\"\n" + ssh,
	} {
		t.Run(name, func(t *testing.T) {
			taken := errors.New("another program has it")
			r := startChanged(t, text, func(r *rig, c *daemon.Config) {
				r.gate.MakeSet(clients, ofClients)
				c.OpenSource = func(nflog.Config) (nflog.Source, error) { return nil, taken }
			})
			r.log.await(t, "error: knocks of NFLOG group 5 cannot be received: another program has it")
			r.gate.fail(errors.New("the kernel will not"))
			r.gate.Flush()
			r.log.await(t, "error: knocks may not be received: cannot restore table inet nftknock")
			problems := fmt.Sprint(r.status(control.StatusQuery{}).Problems)
			for _, want := range []string{"no knock can be heard: another program has it", "so knocks may not be received: the kernel will not"} {
				if !strings.Contains(problems, want) {
					t.Errorf("%q is not among the problems %s", want, problems)
				}
			}
			r.gate.fail(nil)
			r.log.await(t, "is restored")
			if err := r.stop(); err != nil {
				t.Error(err)
			}
			for _, wrong := range []string{"hidden", "open to everyone"} {
				if strings.Contains(r.log.String()+problems, wrong) {
					t.Errorf("it says %q:\n%s\n%s", wrong, problems, &r.log)
				}
			}
		})
	}
}
