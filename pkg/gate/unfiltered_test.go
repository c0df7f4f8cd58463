package gate

import (
	"testing"

	"github.com/google/nftables"

	"nftknock/test/netns/netnstest"
)

func TestUnfiltered(t *testing.T) {
	t.Parallel()
	drop := nftables.ChainPolicyDrop
	for _, tt := range []struct {
		name  string
		chain *nftables.Chain
		ruled bool
		want  bool
	}{
		{"ok nothing", nil, false, true},
		{"ok empty chain", &nftables.Chain{Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput}, false, true},
		{"bad policy", &nftables.Chain{Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Policy: &drop}, false, false},
		{"bad rule", &nftables.Chain{Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput}, true, false},
		{"bad rule before routing", &nftables.Chain{Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting}, true, false},
		{"ok rule of packets sent", &nftables.Chain{Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput, Policy: &drop}, true, true},
		{"ok address translation", &nftables.Chain{Type: nftables.ChainTypeNAT, Hooknum: nftables.ChainHookPrerouting}, true, true},
		{"ok no base chain", &nftables.Chain{}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host := netnstest.New(t)
			// Our own table drops packets, and does not count.
			apply(t, open(t, host, Config{}), &Ruleset{Protected: services("tcp/22")})
			if conn := stranger(t, host); tt.chain != nil {
				tt.chain.Table = conn.AddTable(&nftables.Table{Name: "filter", Family: nftables.TableFamilyINet})
				tt.chain.Name = "c"
				if tt.chain.Hooknum != nil {
					tt.chain.Priority = nftables.ChainPriorityFilter
				}
				conn.AddChain(tt.chain)
				if tt.ruled {
					conn.AddRule(&nftables.Rule{Table: tt.chain.Table, Chain: tt.chain, Exprs: when(fromInterface("eth9")).do(accept()).exprs()})
				}
				flush(t, conn)
			}
			var got bool
			netnstest.Do(t, host, func() (err error) { got, err = Unfiltered(DefaultTable); return err })
			if got != tt.want {
				t.Errorf("unfiltered: %v, want %v", got, tt.want)
			}
			// A table of another name, which the policy may have, is a firewall as any.
			netnstest.Do(t, host, func() (err error) { got, err = Unfiltered("other"); return err })
			if got {
				t.Error("our table counts for nothing although it is not the policy's")
			}
		})
	}
}
