package gate

import (
	"testing"

	"github.com/google/nftables"

	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// foreignTable makes a table of our name that is somebody else's work.
func foreignTable(t *testing.T, conn *nftables.Conn) {
	t.Helper()
	table := conn.AddTable(&nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet})
	chain := conn.AddChain(&nftables.Chain{
		Table: table, Name: "theirs", Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter,
	})
	encoded(conn.AddSet(&nftables.Set{Table: table, Name: "blocked", KeyType: nftables.TypeIPAddr},
		[]nftables.SetElement{{Key: addr("192.0.2.1").AsSlice()}}))
	conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: when(fromInterface("eth9")).do(accept()).exprs()})
	flush(t, conn)
}

// wantForeign fails unless that table is as it was made.
func wantForeign(t *testing.T, conn *nftables.Conn) {
	t.Helper()
	table := &nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet}
	sets, err := conn.GetSets(table)
	if err != nil || len(sets) != 1 || sets[0].Name != "blocked" {
		t.Fatalf("sets %+v, %v", sets, err)
	}
	elements, err := conn.GetSetElements(sets[0])
	if err != nil || len(elements) != 1 {
		t.Errorf("elements %+v, %v", elements, err)
	}
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil || len(chains) != 1 || chains[0].Name != "theirs" {
		t.Fatalf("chains %+v, %v", chains, err)
	}
	rules, err := conn.GetRules(table, chains[0])
	if err != nil || len(rules) != 1 {
		t.Errorf("rules %+v, %v", rules, err)
	}
}

func bothOwnerModes(t *testing.T, f func(t *testing.T, c Config, host *netns.NS, conn *nftables.Conn)) {
	for name, mode := range map[string]OwnerMode{"owner auto": OwnerAuto, "owner off": OwnerOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			host := netnstest.New(t)
			f(t, Config{Owner: mode}, host, stranger(t, host))
		})
	}
}

func TestAForeignTableIsRefusedAtOpen(t *testing.T) {
	t.Parallel()
	bothOwnerModes(t, func(t *testing.T, c Config, host *netns.NS, conn *nftables.Conn) {
		foreignTable(t, conn)
		err := host.Do(func() error {
			k, err := Open(c)
			if err == nil {
				k.Close()
			}
			return err
		})
		wantError(t, err, ErrForeign)
		wantForeign(t, conn)
	})
}

func TestAForeignTableIsRefusedAtApply(t *testing.T) {
	t.Parallel()
	bothOwnerModes(t, func(t *testing.T, c Config, host *netns.NS, conn *nftables.Conn) {
		k := open(t, host, c)
		foreignTable(t, conn)
		wantError(t, k.Apply(&Ruleset{Protected: services("tcp/22")}), ErrForeign)
		wantForeign(t, conn)
		// Without it all is well.
		conn.DelTable(k.table.netlink(0))
		flush(t, conn)
		apply(t, k, &Ruleset{Protected: services("tcp/22")})
	})
}

func TestAForeignTableInPlaceOfOursIsLeftAlone(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	conn := stranger(t, host)
	k := open(t, host, Config{Owner: OwnerOff})
	r := &Ruleset{Protected: services("tcp/22")}
	apply(t, k, r)
	conn.DelTable(k.table.netlink(0))
	foreignTable(t, conn)
	awaitChange(t, k)
	_, err := k.Repair()
	wantError(t, err, ErrForeign)
	wantError(t, k.Apply(r), ErrForeign)
	wantForeign(t, conn)
	conn.DelTable(k.table.netlink(0))
	flush(t, conn)
	awaitChange(t, k)
	repair(t, k, true)
}

func TestAnEmptyTableOfOurNameIsTaken(t *testing.T) {
	t.Parallel()
	bothOwnerModes(t, func(t *testing.T, c Config, host *netns.NS, conn *nftables.Conn) {
		conn.AddTable(&nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet})
		flush(t, conn)
		k := open(t, host, c)
		apply(t, k, &Ruleset{Protected: services("tcp/22")})
		grants(t, k)
	})
}

// The table of the first version is replaced, though nothing in it fits.
func TestTheFirstVersionsTableIsTaken(t *testing.T) {
	t.Parallel()
	bothOwnerModes(t, func(t *testing.T, c Config, host *netns.NS, conn *nftables.Conn) {
		table := conn.AddTable(&nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet})
		for _, name := range []string{"granted4", "knock_ports"} {
			encoded(conn.AddSet(&nftables.Set{Table: table, Name: name, KeyType: nftables.TypeInetService}, nil))
		}
		conn.AddChain(&nftables.Chain{Table: table, Name: prerouting})
		flush(t, conn)
		k := open(t, host, c)
		apply(t, k, &Ruleset{Protected: services("tcp/22")})
		sets, err := conn.GetSets(k.table.netlink(0))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sets {
			if s.Name == "granted4" {
				t.Error("the first version's set is still there")
			}
		}
	})
}
