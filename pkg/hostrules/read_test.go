package hostrules

import (
	"context"
	"errors"
	"testing"

	"github.com/google/nftables"
	nft "github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"nftknock/test/netns/netnstest"
)

// write makes a chain at input that drops all but tcp/22, and a set of ports.
func write() error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	drop := nftables.ChainPolicyDrop
	table := c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: "filter"})
	chain := c.AddChain(&nftables.Chain{Table: table, Name: "in", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter, Policy: &drop})
	ports := &nftables.Set{Table: table, Name: "ports", KeyType: nftables.TypeInetService}
	if err := c.AddSet(ports, []nftables.SetElement{{Key: []byte{0, 22}}, {Key: []byte{0, 80}}}); err != nil {
		return err
	}
	c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []nft.Any{
		&nft.Meta{Key: nft.MetaKeyL4PROTO, Register: 1},
		&nft.Cmp{Op: nft.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&nft.Payload{DestRegister: 1, Base: nft.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&nft.Lookup{SourceRegister: 1, SetName: "ports", SetID: ports.ID},
		&nft.Verdict{Kind: nft.VerdictAccept},
	}})
	return c.Flush()
}

// What another program wrote is read and followed.
func TestReadAndWalk(t *testing.T) {
	host := netnstest.New(t)
	var r *Ruleset
	netnstest.Do(t, host, func() (err error) {
		if err = write(); err != nil {
			return err
		}
		r, err = Read(context.Background())
		return err
	})
	if r.Size() != 1 || !r.HasSet("inet filter ports") || r.HasSet("inet filter other") {
		t.Fatalf("%d rules", r.Size())
	}
	if got := r.Tables[0].Chains[0].Rules[0].String(); got != "meta l4proto tcp dport @ports accept" {
		t.Errorf("got %q", got)
	}
	for port, blocked := range map[uint16]bool{22: false, 23: true, 80: false} {
		trip := r.Walk(Packet{Protocol: unix.IPPROTO_TCP, Port: port}, nil)
		if trip.Blocked != blocked || blocked != (len(trip.Outcomes) == 1 && trip.Outcomes[0].Rule == nil && trip.Outcomes[0].Certain) {
			t.Errorf("tcp/%d: %+v", port, trip)
		}
	}
	if trip := r.Walk(Packet{Protocol: unix.IPPROTO_TCP}, nil); trip.Blocked || !trip.Stops() {
		t.Errorf("any port: %+v", trip)
	}
}

// A canceled context ends the reading.
func TestReadCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	netnstest.Do(t, netnstest.New(t), func() error {
		if _, err := Read(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a canceled context gives %v", err)
		}
		return nil
	})
}
