package gate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/pkg/packet"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
	"nftknock/test/thorough"
)

// ssh4 is the set of grants of single IPv4 addresses for TCP.
var ssh4 = grantSet{protocol: packet.TCP, digit: "4", bits: 32}

// victim is a gate that somebody else can do things to.
type victim struct {
	Gate
	flush func() // all tables
}

func victims(t *testing.T, check func(*testing.T, victim)) {
	t.Run("kernel", func(t *testing.T) {
		t.Parallel()
		host := netnstest.New(t)
		conn := stranger(t, host)
		check(t, victim{open(t, host, Config{Owner: OwnerOff}), func() {
			conn.FlushRuleset()
			flush(t, conn)
		}})
	})
	t.Run("fake", func(t *testing.T) {
		t.Parallel()
		f, err := NewFake(Config{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		check(t, victim{f, f.Flush})
	})
}

// stranger is another process's connection to a host's nf_tables.
func stranger(t testing.TB, host *netns.NS) *nftables.Conn {
	t.Helper()
	var conn *nftables.Conn
	netnstest.Do(t, host, func() (err error) {
		conn, err = nftables.New(nftables.AsLasting())
		return err
	})
	t.Cleanup(func() { conn.CloseLasting() })
	return conn
}

func flush(t testing.TB, conn *nftables.Conn) {
	t.Helper()
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

func awaitChange(t testing.TB, g Gate) {
	t.Helper()
	select {
	case <-g.Changes():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody heard of the change")
	}
}

// quiet fails if a change is heard of that nobody else made.
func quiet(t testing.TB, g Gate) {
	t.Helper()
	select {
	case <-g.Changes():
		t.Error("a change was heard of that nobody made")
	case <-time.After(50 * time.Millisecond):
	}
}

func repair(t testing.TB, g Gate, want bool) {
	t.Helper()
	if got, err := g.Repair(); err != nil || got != want {
		t.Fatalf("repaired %v, %v; want %v", got, err, want)
	}
}

func TestAFlushedTableComesBackWithItsGrants(t *testing.T) {
	victims(t, func(t *testing.T, v victim) {
		if _, err := v.Repair(); err == nil {
			t.Error("repaired what was never there")
		}
		apply(t, v, &Ruleset{Protected: services("tcp/22"), Openings: []Opening{{Service: service("tcp/22"), Once: true}}})
		repair(t, v, false)
		// Nobody knows whether it was used before the table went.
		grant(t, v, Grant{Source: from("192.0.2.8"), Service: service("tcp/22"), Once: true, Timeout: time.Minute})
		kept := []Grant{
			{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute, Access: "ssh", Method: "shared"},
			{Source: from("2001:db8::1"), Service: service("tcp/23"), Timeout: time.Minute},
		}
		gone := Grant{Source: from("192.0.2.9"), Service: service("tcp/22"), Timeout: time.Minute}
		for _, g := range append(kept, gone) {
			grant(t, v, g)
		}
		if err := revoke(v, gone.Source, gone.Service); err != nil {
			t.Fatal(err)
		}
		quiet(t, v)
		for range 2 {
			v.flush()
			awaitChange(t, v)
			wantError(t, v.Grant(gone), ErrNoTable)
			repair(t, v, true)
			list := grants(t, v)
			if diff := cmp.Diff(kept, list, cmpopts.IgnoreFields(Grant{}, "Timeout", "Remaining"), cmpopts.EquateComparable(kept[0].Source)); diff != "" {
				t.Fatalf("want (-), got (+):\n%s", diff)
			}
			for _, g := range list {
				if g.Remaining > time.Minute || g.Remaining < 30*time.Second {
					t.Errorf("%v left of %s, want what was left of a minute", g.Remaining, g.Service)
				}
			}
			repair(t, v, false)
		}
		if err := v.Remove(); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Repair(); err == nil {
			t.Error("repaired what was removed on purpose")
		}
	})
}

// Whatever another process does to our table is heard of and undone.
func TestMeddlingIsUndone(t *testing.T) {
	table := &nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet}
	chain := &nftables.Chain{Table: table, Name: prerouting}
	accept := []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}}
	tests := []struct {
		name   string
		meddle func(*testing.T, *nftables.Conn)
	}{
		{"rules flushed", func(_ *testing.T, c *nftables.Conn) { c.FlushChain(chain) }},
		{"a rule inserted", func(_ *testing.T, c *nftables.Conn) {
			c.InsertRule(&nftables.Rule{Table: table, Chain: chain, Exprs: accept})
		}},
		{"a rule deleted", func(t *testing.T, c *nftables.Conn) {
			rules, err := c.GetRules(table, chain)
			if err != nil {
				t.Fatal(err)
			}
			encoded(c.DelRule(rules[len(rules)-1]))
		}},
		{"a rule replaced", func(t *testing.T, c *nftables.Conn) {
			rules, err := c.GetRules(table, chain)
			if err != nil {
				t.Fatal(err)
			}
			last := rules[len(rules)-1]
			last.Exprs = accept
			c.ReplaceRule(last)
		}},
		{"a rule of a chain that is jumped to flushed", func(_ *testing.T, c *nftables.Conn) {
			c.FlushChain(&nftables.Chain{Table: table, Name: "pre_tcp_service"})
		}},
		{"a set that lets connections go on emptied", func(_ *testing.T, c *nftables.Conn) {
			c.FlushSet(&nftables.Set{Table: table, Name: "kept4"})
			c.AddChain(&nftables.Chain{Table: table, Name: "theirs"})
		}},
		{"a set added", func(_ *testing.T, c *nftables.Conn) {
			encoded(c.AddSet(&nftables.Set{Table: table, Name: "theirs", KeyType: nftables.TypeIPAddr}, nil))
		}},
		{"a chain added", func(_ *testing.T, c *nftables.Conn) {
			c.AddChain(&nftables.Chain{Table: table, Name: "theirs"})
		}},
		{"the table put to sleep", func(_ *testing.T, c *nftables.Conn) {
			const dormant = 1 // NFT_TABLE_F_DORMANT
			c.AddTable(&nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet, Flags: dormant})
		}},
		{"the table replaced by a saved one", func(_ *testing.T, c *nftables.Conn) {
			c.FlushRuleset()
			c.AddTable(table)
			for _, s := range new(Ruleset).sets() {
				var elements []nftables.SetElement
				if s.name == ssh4.name() {
					elements = []nftables.SetElement{{Key: ssh4.key(from("192.0.2.66"), service("tcp/22")), Timeout: time.Hour}}
				}
				encoded(c.AddSet(s.netlink(table), elements))
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host := netnstest.New(t)
			k := open(t, host, Config{Owner: OwnerOff})
			r := Ruleset{Protected: services("tcp/22", "udp/53"), KnockPorts: services("udp/7"), ICMP: true}
			apply(t, k, &r)
			g := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
			grant(t, k, g)
			conn := stranger(t, host)
			tt.meddle(t, conn)
			flush(t, conn)
			awaitChange(t, k)
			repair(t, k, true)
			repair(t, k, false)
			if list := grants(t, k); len(list) != 1 || list[0].Source != g.Source {
				t.Errorf("grants %+v, want the one that was given", list)
			}
		})
	}
}

// A saved ruleset brings a table of our name along, with grants that were
// running when it was saved. However the events of that transaction come in,
// ours are those that count.
func TestASavedTableBringsNoGrantsBack(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	k := open(t, host, Config{Owner: OwnerOff})
	r := Ruleset{Protected: services("tcp/22"), KnockPorts: services("udp/7"), ICMP: true, Workers: 8}
	apply(t, k, &r)
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Hour}
	grant(t, k, g)

	stop, stopped := make(chan struct{}), make(chan struct{})
	conn := stranger(t, host)
	go func() {
		defer close(stopped)
		table := &nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyINet}
		for range thorough.Choose(40, 200) {
			conn.FlushRuleset()
			conn.AddTable(table)
			for _, s := range r.sets() {
				var elements []nftables.SetElement
				if s.name == ssh4.name() {
					elements = []nftables.SetElement{{Key: ssh4.key(from("192.0.2.66"), service("tcp/22")), Timeout: time.Hour}}
				}
				encoded(conn.AddSet(s.netlink(table), elements))
			}
			for _, c := range r.chains() {
				conn.AddChain(c.netlink(table))
			}
			if err := conn.Flush(); err != nil {
				t.Error(err)
			}
			time.Sleep(2 * time.Millisecond)
		}
		close(stop)
	}()
	for done := false; !done; {
		select {
		case <-k.Changes():
		case <-stop:
			done = true
			select { // the last one, if it was not looked at
			case <-k.Changes():
			case <-time.After(100 * time.Millisecond):
			}
		}
		// While the stranger goes on, the kernel may well send every attempt
		// back.
		if _, err := k.Repair(); err != nil && (done || !errors.Is(err, unix.ERESTART)) {
			t.Fatal(err)
		}
	}
	<-stopped
	if list := grants(t, k); len(list) != 1 || list[0].Source != g.Source {
		t.Errorf("grants %+v, want the one that was given", list)
	}
}

// What is no change of ours to undo: a grant that someone took back or gave
// by hand, and everything outside our table.
func TestWhatOthersMayDo(t *testing.T) {
	t.Parallel()
	host := netnstest.New(t)
	k := open(t, host, Config{Owner: OwnerOff})
	apply(t, k, &Ruleset{Protected: services("tcp/22")})
	g := Grant{Source: from("192.0.2.1"), Service: service("tcp/22"), Timeout: time.Minute}
	grant(t, k, g)
	conn := stranger(t, host)

	theirs := &nftables.Table{Name: "filter", Family: nftables.TableFamilyINet}
	conn.AddTable(theirs)
	flush(t, conn)
	conn.AddTable(&nftables.Table{Name: DefaultTable, Family: nftables.TableFamilyIPv4})
	flush(t, conn)
	quiet(t, k)

	set := ssh4.in(k.table.netlink(0))
	encoded(conn.SetDeleteElements(set, []nftables.SetElement{{Key: ssh4.key(g.Source, service("tcp/22"))}}))
	encoded(conn.SetAddElements(set, []nftables.SetElement{{Key: ssh4.key(from("192.0.2.2"), service("tcp/22")), Timeout: time.Minute}}))
	flush(t, conn)
	awaitChange(t, k)
	repair(t, k, false)
	conn.FlushRuleset()
	flush(t, conn)
	awaitChange(t, k)
	repair(t, k, true)
	if list := grants(t, k); len(list) != 1 || list[0].Source != from("192.0.2.2") {
		t.Errorf("grants %+v, want those that were there last", list)
	}
}

// event is a message as nf_tables sends it.
func event(kind uint16, family byte, port uint32, attrs ...netlink.Attribute) netlink.Message {
	data, err := netlink.MarshalAttributes(attrs)
	encoded(err)
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), PID: port},
		Data:   append([]byte{family, 0, 0, 1}, data...),
	}
}

func text(kind uint16, s string) netlink.Attribute {
	return netlink.Attribute{Type: kind, Data: append([]byte(s), 0)}
}

func TestTouches(t *testing.T) {
	const ours, theirs = 10, 11
	name := text(1, "nftknock")
	cut := event(unix.NFT_MSG_DELTABLE, unix.NFPROTO_INET, theirs, name)
	cut.Data = cut.Data[:7]
	short := cut
	short.Data = []byte{unix.NFPROTO_INET}
	for _, tt := range []struct {
		name string
		m    netlink.Message
		want bool
	}{
		{"table deleted", event(unix.NFT_MSG_DELTABLE, unix.NFPROTO_INET, theirs, name), true},
		{"element added", event(unix.NFT_MSG_NEWSETELEM, unix.NFPROTO_INET, theirs, text(2, "granted4"), name), true},
		{"by us", event(unix.NFT_MSG_DELTABLE, unix.NFPROTO_INET, ours, name), false},
		{"another table", event(unix.NFT_MSG_DELTABLE, unix.NFPROTO_INET, theirs, text(1, "nftknock2")), false},
		{"another family", event(unix.NFT_MSG_DELTABLE, unix.NFPROTO_IPV4, theirs, name), false},
		{"a new generation", event(unix.NFT_MSG_NEWGEN, unix.AF_UNSPEC, theirs, netlink.Attribute{Type: 1, Data: make([]byte, 4)}), false},
		{"no attributes", event(unix.NFT_MSG_DELTABLE, unix.NFPROTO_INET, theirs), false},
		{"cut", cut, false},
		{"shorter than its header", short, false},
		{"another subsystem", netlink.Message{Header: netlink.Header{Type: 4 << 8}, Data: cut.Data}, false},
	} {
		if got := touches(tt.m, tableName{inet, "nftknock"}, ours); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func FuzzTouches(f *testing.F) {
	f.Add(uint16(unix.NFNL_SUBSYS_NFTABLES<<8), event(0, unix.NFPROTO_INET, 1, text(1, "nftknock")).Data)
	f.Add(uint16(0), []byte{})
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		m := netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: data}
		if touches(m, tableName{inet, "nftknock"}, 1) && binary.Size(data) < 4+4+len("nftknock") {
			t.Errorf("%x names no table", data)
		}
	})
}

func FuzzParseHandle(f *testing.F) {
	f.Add(event(unix.NFT_MSG_NEWTABLE, unix.NFPROTO_INET, 0, text(1, "nftknock"),
		netlink.Attribute{Type: attrTableHandle, Data: []byte{0, 0, 0, 0, 0, 0, 0, 9}}).Data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		id, generation, err := parseHandle([]netlink.Message{{Data: data}})
		if (err == nil) != (id != 0) || err != nil && generation != 0 {
			t.Errorf("%x: %d, %d, %v", data, id, generation, err)
		}
	})
}

// BenchmarkRepair is the way from a flush by another process to a table that
// is there again, and to its grants.
func BenchmarkRepair(b *testing.B) {
	for _, count := range []int{0, 100, 30000} {
		b.Run(fmt.Sprint(count, " grants"), func(b *testing.B) { benchmarkRepair(b, count) })
	}
}

func benchmarkRepair(b *testing.B, count int) {
	host := netnstest.New(b)
	k := open(b, host, Config{Owner: OwnerOff})
	apply(b, k, &Ruleset{Protected: services("tcp/22", "tcp/80"), KnockPorts: services("udp/7")})
	for n := range count {
		grant(b, k, Grant{Source: nth(n), Service: service("tcp/22"), Timeout: time.Hour})
	}
	conn := stranger(b, host)
	for b.Loop() {
		conn.FlushRuleset()
		flush(b, conn)
		awaitChange(b, k)
		repair(b, k, true)
	}
}
