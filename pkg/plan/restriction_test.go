package plan

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// A grant of a range continues for those services that lie within it, and for no
// longer than it had.
func TestWhatIsLeftOfARange(t *testing.T) {
	for _, c := range []struct {
		name, lines string
		left        time.Duration
		want        []string
	}{
		{"ok the same", `open = ["tcp/8000-8010"]`, 20 * time.Second, nil},
		{"ok a wider one", `open = ["tcp/7500-8500"]`, 20 * time.Second, nil},
		{"narrower ones", `open = ["tcp/8000-8002", "tcp/8005", "udp/8006"]`, 20 * time.Second, []string{"tcp/8000-8002 20s", "tcp/8005 20s"}},
		{"one that only overlaps", `open = ["tcp/8005-8020"]`, 20 * time.Second, []string{}},
		{"less time", "open = [\"tcp/8000-8010\"]\ntimeout = \"5s\"", 20 * time.Second, []string{"tcp/8000-8010 5s"}},
		{"less of both", "open = [\"tcp/8005\"]\ntimeout = \"5s\"", 20 * time.Second, []string{"tcp/8005 5s"}},
		{"ok less time than is left", "open = [\"tcp/8000-8010\"]\ntimeout = \"5s\"", 4 * time.Second, nil},
	} {
		p, diags := policy.Parse("test.toml", []byte("[[access]]\nname = \"web\"\nsequence = [\"udp/7300\", \"udp/7100\", \"udp/7200\"]\n"+c.lines+"\n"))
		if err := diags.Err(); err != nil {
			t.Fatal(err)
		}
		plan, err := Outline(p)
		if err != nil {
			t.Fatal(err)
		}
		o := plan.CheckGrant(gate.Grant{
			Source: netip.MustParsePrefix("192.0.2.1/32"), Service: port.Range{Protocol: 6, First: 8000, Last: 8010},
			Timeout: 30 * time.Second, Remaining: c.left, Access: "web", Method: "shared",
		}, time.Now(), "")
		var got []string
		if o.Reason != "" {
			got = []string{}
		}
		for _, g := range o.Instead {
			got = append(got, g.Service.String()+" "+g.Timeout.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}
