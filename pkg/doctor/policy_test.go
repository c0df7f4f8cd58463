package doctor

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"nftknock/pkg/gate"
	"nftknock/pkg/packet"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// What grants change in packets, by the mode.
func TestByGate(t *testing.T) {
	for _, tt := range []struct {
		name string
		have policy.NFTables
		want Policy
	}{
		{"gate", policy.NFTables{Mode: policy.ModeGate, Mark: 4}, Policy{}},
		{"mark", policy.NFTables{Mode: policy.ModeMark, Mark: 4}, Policy{Mark: 4}},
		{"a set", policy.NFTables{Mode: policy.ModeSet, Set4: gate.SetName{Family: "inet", Table: "filter", Name: "s"}}, Policy{Members: []string{"inet filter s"}, No6: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got Policy
			got.byGate(tt.have)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFromPolicy(t *testing.T) {
	p, diags := policy.Parse("p.toml", []byte(`
[nflog]
group = 7
workers = 2
[nftables]
hide = "reject"
interfaces = ["eth0"]
protect = ["tcp/8080"]
[[access]]
name = "shared"
knock = "shared"
sequence = ["tcp/5001", "icmp", "udp/5002"]
open = ["tcp/22"]
[[access]]
name = "lanes"
knock = "encrypted"
key = "a passphrase of some length"
port_base = 30000
open = ["tcp/443"]
[[access]]
name = "packet"
knock = "spa"
key = "a passphrase of some length"
hmac_key = "another passphrase of some length"
open = ["tcp/22"]
[[access]]
name = "off"
enabled = false
knock = "shared"
sequence = ["tcp/6001", "tcp/6003", "udp/6002"]
open = ["tcp/25"]
`))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	tcp := func(n uint16) port.Range { return port.Single(packet.TCP, n) }
	udp := func(n uint16) port.Range { return port.Single(packet.UDP, n) }
	want := Policy{
		Table: "nftknock", Mode: policy.ModeGate, Hide: policy.HideReject, Interfaces: []string{"eth0"},
		Services: []port.Range{tcp(22), tcp(443)},
		Hidden:   []port.Range{tcp(22), tcp(25), tcp(443), tcp(8080)},
		Knocks: []port.Range{port.Echo, tcp(5001), {Protocol: packet.TCP, First: 30000, Last: 42799},
			udp(5002), {Protocol: packet.UDP, First: 30000, Last: 42799}, udp(62201)},
		Quiet: []port.Range{tcp(5001), udp(5002), udp(62201)},
		Timed: []string{"lanes", "packet"}, Group: 7, Workers: 2, ControlSocket: "/run/nftknock/control.sock",
	}
	if diff := cmp.Diff(want, FromPolicy(p)); diff != "" {
		t.Error(diff)
	}
}
