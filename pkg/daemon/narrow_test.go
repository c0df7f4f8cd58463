package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// granted is what the gate of a rig lets through, a service per line.
func (r *rig) granted() []string {
	r.Helper()
	grants, err := r.gate.Grants()
	if err != nil {
		r.Fatal(err)
	}
	var list []string
	for _, g := range grants {
		list = append(list, fmt.Sprint(g.Source.Addr(), " ", g.Service, " ", g.Access, " ", g.Method))
	}
	return list
}

const web = `[[access]]
name = "web"
sequence = ["udp/7300", "udp/7100", "udp/7200"]
open = ["tcp/8000-8003", "udp/53"]
timeout = "30s"
`

// other is an access that is there before and after, so that there is a policy.
const other = `[[access]]
name = "other"
sequence = ["udp/9300", "udp/9100", "udp/9200"]
open = ["tcp/99"]
`

// narrowings are changes of the access "web" and what becomes of a grant by it.
var narrowings = []struct {
	name, after string
	left        []string // services
	log         []string
}{
	{"removed", "", nil, []string{
		`access of 192.0.2.10 to tcp/8000-8003 ended: access "web" was removed SINCE [event=ended src=192.0.2.10 access=web open=tcp/8000-8003 reason="access \"web\" was removed SINCE"]`,
		`access of 192.0.2.10 to udp/53 ended: access "web" was removed SINCE`,
	}},
	{"renamed", strings.Replace(web, `"web"`, `"www"`, 1), nil, []string{`access "web" was removed SINCE`}},
	{"disabled", web + "enabled = false\n", nil, []string{`to udp/53 ended: access "web" was disabled SINCE`}},
	{"expired", web + "expires = 2020-01-01\n", nil, []string{`to udp/53 ended: access "web" has expired`}},
	{"of others", web + "source = [\"any\", \"!192.0.2.0/28\"]\n", nil, []string{`to udp/53 ended: access "web" is no longer for this address`}},
	{"one service less", strings.Replace(web, `, "udp/53"`, "", 1), []string{"tcp/8000-8003"},
		[]string{`access of 192.0.2.10 to udp/53 ended: access "web" no longer opens it`}},
	{"a narrower range", strings.Replace(web, "8000-8003", "8001-8002", 1), []string{"tcp/8001-8002", "udp/53"},
		[]string{`access of 192.0.2.10 to tcp/8000-8003 narrowed to tcp/8001-8002: access "web" no longer opens all of it`}},
	{"a wider range", strings.Replace(web, "8000-8003", "8000-8009", 1),
		[]string{"tcp/8000-8003", "udp/53"}, nil},
	{"another sequence", strings.Replace(web, "7300", "7400", 1),
		[]string{"tcp/8000-8003", "udp/53"}, nil},
}

// lines waits for log lines, in which SINCE stands for words.
func (r *rig) awaitAll(lines []string, since string) {
	r.Helper()
	for _, line := range lines {
		r.log.await(r, strings.ReplaceAll(line, "SINCE", since))
	}
}

func left(services []string) []string {
	var want []string
	for _, s := range services {
		want = append(want, "192.0.2.10 "+s+" web shared")
	}
	return want
}

// Whom a reload takes out of the policy is out at once.
func TestAReloadNarrowsGrants(t *testing.T) {
	for _, c := range narrowings {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, other+web)
			r.knock(10, 7300, 7100, 7200)
			r.log.await(t, "granted 192.0.2.10 access to udp/53 for 30s")
			if err := r.reload(other + c.after); err != nil {
				t.Fatal(err)
			}
			r.awaitAll(c.log, "by a reload")
			if diff := cmp.Diff(left(c.left), r.granted()); diff != "" {
				t.Errorf("grants:\n%s", diff)
			}
		})
	}
}

// And so is whom a restart finds to be in it no longer, before keys are read.
func TestARestartNarrowsGrants(t *testing.T) {
	for _, c := range narrowings {
		t.Run(c.name, func(t *testing.T) {
			g := newGate(t)
			p := planOf(t, other+web)
			if err := g.Apply(p.Ruleset); err != nil {
				t.Fatal(err)
			}
			for _, s := range p.Accesses[1].Open {
				err := g.Grant(gate.Grant{Source: netip.MustParsePrefix("192.0.2.10/32"), Service: s, Timeout: 30 * time.Second, Access: "web", Method: "shared"})
				if err != nil {
					t.Fatal(err)
				}
			}
			r := startOn(t, g, other+c.after)
			r.awaitAll(c.log, "since the last run")
			if diff := cmp.Diff(left(c.left), r.granted()); diff != "" {
				t.Errorf("grants:\n%s", diff)
			}
			if n := strings.Count(r.log.String(), " continues for "); (n > 0) != (c.left != nil) {
				t.Errorf("%d grants are said to go on", n)
			}
		})
	}
}

// A timeout that is shorter than what is left shortens it.
func TestAReloadShortensGrants(t *testing.T) {
	r := start(t, other+web)
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 access to udp/53 for 30s")
	if err := r.reload(other + strings.Replace(web, "30s", "1s", 1)); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, `access of 192.0.2.10 to tcp/8000-8003 shortened to 1s: access "web" allows no longer timeout [event=shortened `)
	grants, err := r.gate.Grants()
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(grants, func(g gate.Grant) bool { return g.Remaining > time.Second }) || len(grants) != 2 {
		t.Errorf("grants %+v, want two that end in a second", grants)
	}
	r.log.await(t, "access of 192.0.2.10 to tcp/8000-8003 ended, 1s timeout exceeded")
	r.log.await(t, "access of 192.0.2.10 to udp/53 ended, 1s timeout exceeded")
}

// What is left of a range ends as what it is, and what was revoked does not end
// again.
func TestTheEndOfWhatAReloadLeft(t *testing.T) {
	r := start(t, other+strings.Replace(web, "30s", "2s", 1))
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 access to udp/53 for 2s")
	narrow := strings.NewReplacer("30s", "2s", "8000-8003", "8001-8002", `, "udp/53"`, "").Replace(web)
	if err := r.reload(other + narrow); err != nil {
		t.Fatal(err)
	}
	r.log.await(t, "access of 192.0.2.10 to tcp/8001-8002 ended, 2s timeout exceeded")
	for _, gone := range []string{"to tcp/8000-8003 ended", "to udp/53 ended, "} {
		if strings.Contains(r.log.String(), gone) {
			t.Errorf("the log has %q:\n%s", gone, &r.log)
		}
	}
}

// Elements that no access of ours stands for are somebody's own.
func TestGrantsOfOthersStay(t *testing.T) {
	r := start(t, other)
	err := r.gate.Grant(gate.Grant{Source: netip.MustParsePrefix("192.0.2.10/32"), Service: port.Single(packet.TCP, 99), Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.reload(other + web); err != nil {
		t.Fatal(err)
	}
	if len(r.granted()) != 1 {
		t.Errorf("the log says\n%s", &r.log)
	}
}

// Where the gate cannot tell what runs, or revoke it, that is tried again.
func TestNarrowingIsTriedAgain(t *testing.T) {
	for _, what := range []string{"list", "revoke"} {
		t.Run(what, func(t *testing.T) {
			r := start(t, other+web)
			r.knock(10, 7300, 7100, 7200)
			r.log.await(t, "granted 192.0.2.10 access to udp/53 for 30s")
			r.gate.failOnce(what, errors.New("the kernel will not"))
			if err := r.reload(other); err != nil {
				t.Fatal(err)
			}
			r.log.await(t, "cannot end grants that the policy no longer allows: the kernel will not")
			eventually(t, "nothing is granted", func() bool { return r.granted() == nil })
		})
	}
}

// A gate that is slow at revoking many grants keeps the keeper from nothing else.
func TestNarrowingManyGrants(t *testing.T) {
	const many = 300
	r := start(t, other+web)
	for n := range many {
		err := r.gate.Grant(gate.Grant{
			Source: gate.Host(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)})), Service: port.Single(packet.UDP, 53),
			Timeout: time.Hour, Access: "web", Method: "shared",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	r.gate.slow.Store(int64(10 * time.Millisecond))
	if err := r.reload(other); err != nil {
		t.Fatal(err)
	}
	r.gate.Flush()
	eventually(t, "the table is put back", func() bool { return r.gate.Ruleset() != nil })
	if n := len(r.granted()); n == 0 || n == many {
		t.Errorf("%d grants were left when the table was put back, want some", n)
	}
	eventually(t, "nothing is granted", func() bool { return r.granted() == nil })
	r.log.await(t, "200 more grants ended, shortened or narrowed, because the policy changed [event=ended omitted=200]")
	if n := strings.Count(r.log.String(), `access "web" was removed by a reload [`); n != 100 {
		t.Errorf("%d grants are named, want 100", n)
	}
}

// grantMany has the gate of a test hold some grants of the access "web".
func grantMany(t *testing.T, g gate.Gate, many int) {
	t.Helper()
	for n := range many {
		err := g.Grant(gate.Grant{
			Source: gate.Host(netip.AddrFrom4([4]byte{198, 51, byte(n >> 8), byte(n)})), Service: port.Single(packet.UDP, 53),
			Timeout: 20 * time.Second, Access: "web", Method: "shared",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Grants of an earlier run are resumed although the first listing fails and the policy
// with its keys comes before the next: they are reported, and revoke counts them.
func TestGrantsAreResumedAfterAFailedListing(t *testing.T) {
	g := newGate(t)
	if err := g.Apply(planOf(t, other+web).Ruleset); err != nil {
		t.Fatal(err)
	}
	grantMany(t, g, 2)
	g.failOnce("list", errors.New("the kernel will not"))
	r := startOn(t, g, other+web)
	// How long they continue is up to how long the start takes.
	r.log.await(t, "access of 198.51.0.0 to udp/53 continues for ")
	r.log.await(t, "access of 198.51.0.1 to udp/53 continues for ")
	done, err := r.daemon.Revoke(context.Background(), control.Revocation{Source: netip.MustParsePrefix("198.51.0.0/16")})
	if err != nil || done != (control.Revoked{Grants: 2}) {
		t.Errorf("%+v, %v; want 2 grants", done, err)
	}
}

// The grants that a reload has ended are reported even if the daemon stops before it has
// ended all of them.
func TestAStopReportsWhatAReloadHasEnded(t *testing.T) {
	r := start(t, other+web)
	grantMany(t, r.gate, 300)
	r.gate.slow.Store(int64(10 * time.Millisecond))
	if err := r.reload(other); err != nil {
		t.Fatal(err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	ended := strings.Count(r.log.String(), `access "web" was removed by a reload [`)
	left := 300 - int(r.gate.revoked.Load())
	if ended == 0 || ended+left != 300 {
		t.Errorf("%d grants are reported as ended and %d are left, want 300 together", ended, left)
	}
}

// What is left of a grant is granted even if another process deletes the table after the
// grant was revoked.
func TestNarrowingWithoutATable(t *testing.T) {
	r := start(t, other+web)
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 access to udp/53 for 30s")
	r.gate.failOnce("flush", errors.New("flushed"))
	if err := r.reload(other + strings.Replace(web, "8000-8003", "8001-8002", 1)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(left([]string{"tcp/8001-8002", "udp/53"}), r.granted()); diff != "" {
		t.Errorf("grants:\n%s\n%s", diff, &r.log)
	}
}

// A grant that the policy no longer allows ends alone: grants of accesses that did not
// change stay, where they lie within it, and their ends are still reported.
func TestNarrowingEndsOneGrantAlone(t *testing.T) {
	const one = `[[access]]
name = "one"
sequence = ["udp/7400", "udp/7500", "udp/7600"]
open = ["tcp/8005"]
timeout = "30m"
`
	for name, wide := range map[string]string{
		"more ports":   `open = ["tcp/8000-8010"]`,
		"more sources": "open = [\"tcp/8005\"]\nprefix4 = 24",
		"single use":   "open = [\"tcp/8005\"]\nsingle_use = true",
	} {
		t.Run(name, func(t *testing.T) {
			wide = "[[access]]\nname = \"wide\"\nsequence = [\"udp/7300\", \"udp/7100\", \"udp/7200\"]\ntimeout = \"1h\"\n" + wide + "\n"
			r := start(t, wide+one)
			r.knock(10, 7400, 7500, 7600)
			r.log.await(t, "granted 192.0.2.10 access to tcp/8005 for 30m")
			r.knock(10, 7300, 7100, 7200)
			r.log.await(t, "for 1h [")
			if err := r.reload(one); err != nil {
				t.Fatal(err)
			}
			r.log.await(t, "ended: access \"wide\" was removed by a reload")
			if diff := cmp.Diff([]string{"192.0.2.10 tcp/8005 one shared"}, r.granted()); diff != "" {
				t.Errorf("grants (-want +got):\n%s", diff)
			}
			done, err := r.daemon.Revoke(context.Background(), control.Revocation{Source: netip.MustParsePrefix("192.0.2.10/32")})
			if err != nil || done != (control.Revoked{Grants: 1}) {
				t.Errorf("revoked %+v, %v; want the one", done, err)
			}
			r.log.await(t, "access of 192.0.2.10 to tcp/8005 ended: revoked [event=ended src=192.0.2.10 access=one")
		})
	}
}

// Revoke counts grants, whatever else covers them.
func TestRevokeCountsGrants(t *testing.T) {
	const wide = "[[access]]\nname = \"wide\"\nsequence = [\"udp/7300\", \"udp/7100\", \"udp/7200\"]\nopen = [\"tcp/8000-8010\"]\ntimeout = \"1h\"\n"
	const one = "[[access]]\nname = \"one\"\nsequence = [\"udp/7400\", \"udp/7500\", \"udp/7600\"]\nopen = [\"tcp/8005\"]\ntimeout = \"30m\"\n"
	r := start(t, wide+one)
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "for 1h [")
	r.knock(10, 7400, 7500, 7600)
	r.log.await(t, "for 30m [")
	done, err := r.daemon.Revoke(context.Background(), control.Revocation{Source: netip.MustParsePrefix("192.0.2.10/32"), Service: "tcp/8005"})
	if want := (control.Revoked{Grants: 1, StillIn: "192.0.2.10 to tcp/8000-8010"}); err != nil || done != want {
		t.Errorf("%+v, %v; want %+v", done, err, want)
	}
}
