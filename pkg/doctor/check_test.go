package doctor

import (
	"io/fs"
	"slices"
	"testing"

	"nftknock/pkg/packet"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

var (
	ssh = port.Single(packet.TCP, 22)
	dns = port.Single(packet.UDP, 53)
)

// sshPolicy hides tcp/22 behind tcp/5001 and udp/5002.
func sshPolicy() Policy {
	knocks := []port.Range{port.Single(packet.TCP, 5001), port.Single(packet.UDP, 5002)}
	return Policy{
		Table: "nftknock", Mode: policy.ModeGate, Hide: policy.HideDrop,
		Services: []port.Range{ssh}, Knocks: knocks, Quiet: knocks, Group: 5, Workers: 1,
	}
}

// of returns the findings of a code.
func of(code string, list []Finding) []Finding {
	return slices.DeleteFunc(slices.Clone(list), func(f Finding) bool { return f.Code != code })
}

// What depends on the machine's clock and drivers, on values.
func TestOfValues(t *testing.T) {
	p := sshPolicy()
	p.Timed = []string{"phone"}
	h := &Host{Links: []Link{{Name: "eth0", Index: 2, Up: true}}}
	if got := p.Check(t.Context(), h); len(got) != 0 {
		t.Errorf("nothing is wrong: %v", got)
	}
	h.Unsynchronised, h.Links[0].XDP = true, true
	var codes []string
	for _, f := range p.Check(t.Context(), h) {
		codes = append(codes, f.Code)
	}
	if want := []string{"xdp", "clock"}; !slices.Equal(codes, want) {
		t.Errorf("got %v, want %v", codes, want)
	}
	h.Running, h.Problems = true, []string{"NFLOG group 5 is taken"}
	if got := of("daemon-problem", p.Check(t.Context(), h)); len(got) != 1 || got[0].Severity != Warning || got[0].Message != "the daemon says: NFLOG group 5 is taken" {
		t.Errorf("got %v", got)
	}
	h.Hindered = true
	if got := of("daemon-problem", p.Check(t.Context(), h)); len(got) != 1 || got[0].Severity != Error {
		t.Errorf("got %v", got)
	}
	p.Timed = nil
	if got := of("clock", p.Check(t.Context(), h)); len(got) != 0 {
		t.Errorf("no knock needs the clock: %v", got)
	}
}

// A program that reads the findings learns that some are missing.
func TestWhatWasNotSeen(t *testing.T) {
	h := &Host{}
	if got := h.NotSeen(); len(got) != 0 {
		t.Errorf("of a host that was seen as a whole: %v", got)
	}
	h.unseen("ruleset", fs.ErrPermission)
	if got := h.NotSeen(); len(got) != 1 || got[0].String() != "warning: could not look at ruleset: needs root" {
		t.Errorf("got %v", got)
	}
}
