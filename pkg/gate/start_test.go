package gate

import (
	"net"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// firstTable makes a table such as the first version left when it was killed. A
// kernel that owns tables has kept it, with the flag persist.
func firstTable(t *testing.T, c *nftables.Conn, flags nftables.TableFlags) {
	t.Helper()
	table := c.AddTable(&nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet, Flags: flags})
	granted := &nftables.Set{Table: table, Name: "granted4", KeyType: nftables.TypeIPAddr, HasTimeout: true}
	encoded(c.AddSet(granted, []nftables.SetElement{{Key: []byte{192, 0, 2, 1}, Timeout: time.Hour}}))
	encoded(c.AddSet(&nftables.Set{Table: table, Name: "knock_ports", KeyType: nftables.TypeInetService}, nil))
	gate := c.AddChain(&nftables.Chain{
		Table: table, Name: "gate", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
	})
	c.AddRule(&nftables.Rule{Table: table, Chain: gate, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1}, &expr.Verdict{Kind: expr.VerdictAccept},
	}})
	flush(t, c)
}

// A table of the first version is replaced: UDP that existed goes on, what was
// granted does not.
func TestTheFirstTableIsReplaced(t *testing.T) {
	modes := map[string]OwnerMode{"not owned": OwnerOff}
	if kernelOwns(t) {
		modes["owned"] = OwnerOn
	}
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := netnstest.New(t)
			var earlier *nftables.Conn
			netnstest.Do(t, host, func() (err error) {
				earlier, err = nftables.New(nftables.AsLasting())
				return err
			})
			var flags nftables.TableFlags
			if mode == OwnerOn {
				flags = nftables.TableFlagOwner | nftables.TableFlagPersist
			}
			firstTable(t, earlier, flags)
			if err := earlier.CloseLasting(); err != nil {
				t.Fatal(err)
			}
			datagrams(t, host, 1, func(int) int { return 53 })

			k := open(t, host, Config{Owner: mode})
			apply(t, k, &Ruleset{Protected: services("tcp/22", "udp/53")})
			if len(k.existing) != 1 {
				t.Errorf("%d flows go on, want the one that existed", len(k.existing))
			}
			if list := grants(t, k); len(list) != 0 {
				t.Errorf("granted: %+v", list)
			}
		})
	}
}

// datagrams has a host send datagrams to itself, which conntrack sees.
func datagrams(t *testing.T, host *netns.NS, n int, port func(int) int) {
	t.Helper()
	netnstest.Do(t, host, func() error {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return err
		}
		defer c.Close()
		for i := range n {
			// It may be refused, as there is nobody.
			_, _ = c.WriteToUDP([]byte("x"), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port(i)})
		}
		return nil
	})
}

// A host with many connections gets its table while others change the ruleset all
// the time: to list connections takes longer than the pauses of those.
func TestStartAmongChanges(t *testing.T) {
	host := netnstest.New(t)
	conn := stranger(t, host)
	table := &nftables.Table{Name: "theirs", Family: nftables.TableFamilyINet}
	conn.AddTable(table)
	see := conn.AddChain(&nftables.Chain{
		Table: table, Name: "see", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
	})
	conn.AddRule(&nftables.Rule{Table: table, Chain: see, Exprs: []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1}, &expr.Verdict{Kind: expr.VerdictAccept},
	}})
	flush(t, conn)
	datagrams(t, host, 30000, func(i int) int { return 1000 + i })

	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			chain := conn.AddChain(&nftables.Chain{Table: table, Name: "busy"})
			if err := conn.Flush(); err != nil {
				t.Error(err)
			}
			conn.DelChain(chain)
			if err := conn.Flush(); err != nil {
				t.Error(err)
			}
		}
	}()
	defer func() { close(stop); <-stopped }()
	k := open(t, host, Config{Owner: OwnerAuto})
	began := time.Now()
	apply(t, k, &Ruleset{Protected: services("tcp/22", "udp/53")})
	t.Log("hidden after", time.Since(began))
}
