package gate

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"nftknock/pkg/port"
	"nftknock/test/netns"
	"nftknock/test/netns/netnstest"
)

// setWorld is a Gate with a firewall of others beside it, in whose sets it grants.
type setWorld struct {
	*testing.T
	Gate
	pass func(time.Duration)
	sets theirSets
}

// theirSets is what others do to sets of their own.
type theirSets interface {
	make(SetName, FakeSet)
	drop(SetName)
	add(n SetName, key []byte, timeout time.Duration)
	delete(n SetName, key []byte)
	list(SetName) map[string]time.Duration
}

type fakeFirewall struct{ f *Fake }

func (w fakeFirewall) make(n SetName, s FakeSet) { w.f.MakeSet(n, s) }
func (w fakeFirewall) drop(n SetName)            { w.f.DropSet(n) }
func (w fakeFirewall) add(n SetName, key []byte, timeout time.Duration) {
	w.f.AddToSet(n, key, timeout)
}
func (w fakeFirewall) delete(n SetName, key []byte)            { w.f.DropFromSet(n, key) }
func (w fakeFirewall) list(n SetName) map[string]time.Duration { return w.f.InSet(n) }

// kernelFirewall is one in the kernel.
type kernelFirewall struct {
	t    testing.TB
	conn *nftables.Conn
}

func newKernelFirewall(t testing.TB, host *netns.NS) kernelFirewall {
	t.Helper()
	w := kernelFirewall{t: t}
	netnstest.Do(t, host, func() (err error) {
		w.conn, err = nftables.New(nftables.AsLasting())
		return err
	})
	t.Cleanup(func() { w.conn.CloseLasting() })
	return w
}

func (w kernelFirewall) flush() {
	w.t.Helper()
	if err := w.conn.Flush(); err != nil {
		w.t.Fatal(err)
	}
}

func (w kernelFirewall) make(n SetName, s FakeSet) {
	w.t.Helper()
	table := n.table().netlink(0)
	w.conn.AddTable(table)
	w.conn.DelTable(table)
	w.conn.AddTable(table)
	encoded(w.conn.AddSet(&nftables.Set{
		Table: table, Name: n.Name, KeyType: keyType(s.Key).datatype(), Size: s.Size,
		HasTimeout: s.Flags&unix.NFT_SET_TIMEOUT != 0, Interval: s.Flags&unix.NFT_SET_INTERVAL != 0,
		Constant: s.Flags&unix.NFT_SET_CONSTANT != 0,
		IsMap:    s.Flags&unix.NFT_SET_MAP != 0, DataType: mapped(s),
	}, nil))
	w.flush()
}

func mapped(s FakeSet) nftables.SetDatatype {
	if s.Flags&unix.NFT_SET_MAP != 0 {
		return nftables.TypeMark
	}
	return nftables.SetDatatype{}
}

func (w kernelFirewall) drop(n SetName) {
	w.t.Helper()
	w.conn.DelTable(n.table().netlink(0))
	w.flush()
}

func (w kernelFirewall) set(n SetName) *nftables.Set {
	w.t.Helper()
	set, err := w.conn.GetSetByName(n.table().netlink(0), n.Name)
	if err != nil {
		w.t.Fatal(err)
	}
	return set
}

func (w kernelFirewall) add(n SetName, key []byte, timeout time.Duration) {
	w.t.Helper()
	encoded(w.conn.SetAddElements(w.set(n), []nftables.SetElement{{Key: key, Timeout: timeout}}))
	w.flush()
}

func (w kernelFirewall) delete(n SetName, key []byte) {
	w.t.Helper()
	encoded(w.conn.SetDeleteElements(w.set(n), []nftables.SetElement{{Key: key}}))
	w.flush()
}

func (w kernelFirewall) list(n SetName) map[string]time.Duration {
	w.t.Helper()
	list, err := w.conn.GetSetElements(w.set(n))
	if err != nil {
		w.t.Fatal(err)
	}
	left := make(map[string]time.Duration)
	for _, e := range list {
		left[string(e.Key)] = e.Expires
	}
	return left
}

// inWorlds runs a test with a Kernel and with a Fake.
func inWorlds(t *testing.T, name string, test func(*setWorld)) {
	t.Run(name+"/kernel", func(t *testing.T) {
		t.Parallel()
		host := netnstest.New(t)
		k := open(t, host, Config{})
		test(&setWorld{t, k, time.Sleep, newKernelFirewall(t, host)})
	})
	t.Run(name+"/fake", func(t *testing.T) {
		t.Parallel()
		c := &clock{now: time.Unix(1e9, 0)}
		f, err := NewFake(Config{}, c.Now)
		if err != nil {
			t.Fatal(err)
		}
		test(&setWorld{t, f, c.pass, fakeFirewall{f}})
	})
}

var (
	clients4 = theirSet("inet filter clients4")
	clients6 = theirSet("inet other clients6")
)

// clientSet is a set that takes grants.
func clientSet(types ...nftables.SetDatatype) FakeSet {
	return FakeSet{Key: types, Flags: unix.NFT_SET_TIMEOUT}
}

func setRuleset() *Ruleset {
	return &Ruleset{Mode: ModeSet, Set4: clients4, Set6: clients6, Openings: openings("tcp/22", "tcp/8000-8003", "udp/22"), Group: 5}
}

// firewall makes both sets with keys of an address, and applies the ruleset.
func (w *setWorld) firewall() {
	w.Helper()
	w.sets.make(clients4, clientSet(nftables.TypeIPAddr))
	w.sets.make(clients6, clientSet(nftables.TypeIP6Addr))
	apply(w, w.Gate, setRuleset())
	w.wantTrouble("")
}

// ssh is a grant to an address.
func ssh(source string, timeout time.Duration) Grant {
	return Grant{Source: from(source), Service: service("tcp/22"), Timeout: timeout, Access: "ssh", Method: "shared"}
}

// want compares the elements of a set: each key in words, with the time that it has
// left in whole minutes.
func (w *setWorld) want(n SetName, want ...string) {
	w.Helper()
	var got []string
	for key, left := range w.sets.list(n) {
		got = append(got, fmt.Sprintf("%x %v", key, int(left.Minutes()+0.99)))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.Errorf("set %s has %q, want %q", n, got, want)
	}
}

func (w *setWorld) wantTrouble(text string) {
	w.Helper()
	err := w.Trouble()
	if (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
		w.Errorf("trouble %v, want %q", err, text)
	}
}

// repair repairs once the gate says that it is time to.
func (w *setWorld) repair() {
	w.Helper()
	select {
	case <-w.Changes():
	case <-time.After(10 * time.Second):
		w.Fatal("no change was told")
	}
	if _, err := w.Repair(); err != nil {
		w.Fatal(err)
	}
}

func key4(s string) []byte { return addr(s).AsSlice() }

func TestGrantsInSetsOfOthers(t *testing.T) {
	port22 := func(a string) []byte {
		return binary.BigEndian.AppendUint16(addr(a).AsSlice(), 22)
	}
	inWorlds(t, "addresses", func(w *setWorld) {
		w.firewall()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		grant(w, w.Gate, ssh("2001:db8::1", 20*time.Minute))
		w.want(clients4, "c0000201 10")
		w.want(clients6, "20010db8000000000000000000000001 20")
		wantRevoked(w, "192.0.2.1")
		w.want(clients4)
		w.want(clients6, "20010db8000000000000000000000001 20")
	})
	inWorlds(t, "ports", func(w *setWorld) {
		w.sets.make(clients4, clientSet(nftables.TypeIPAddr, nftables.TypeInetService))
		w.sets.make(clients6, clientSet(nftables.TypeIP6Addr, nftables.TypeInetService))
		apply(w, w.Gate, setRuleset())
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		grant(w, w.Gate, ssh("2001:db8::1", 20*time.Minute))
		many := ssh("192.0.2.2", 5*time.Minute)
		many.Service = service("tcp/8000-8003")
		grant(w, w.Gate, many)
		w.want(clients4, fmt.Sprintf("%x0000 10", port22("192.0.2.1")),
			"c00002021f400000 5", "c00002021f410000 5", "c00002021f420000 5", "c00002021f430000 5")
		w.want(clients6, fmt.Sprintf("%x0000 20", port22("2001:db8::1")))
		if _, err := w.Revoke(many.Source, many.Service); err != nil {
			w.Fatal(err)
		}
		w.want(clients4, fmt.Sprintf("%x0000 10", port22("192.0.2.1")))
	})
	inWorlds(t, "protocols and ports", func(w *setWorld) {
		w.sets.make(clients4, clientSet(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService))
		w.sets.make(clients6, clientSet(nftables.TypeIP6Addr, nftables.TypeInetProto, nftables.TypeInetService))
		apply(w, w.Gate, setRuleset())
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		udp := ssh("192.0.2.1", 5*time.Minute)
		udp.Service = service("udp/22")
		grant(w, w.Gate, udp)
		grant(w, w.Gate, ssh("2001:db8::1", 20*time.Minute))
		w.want(clients4, "c00002010600000000160000 10", "c00002011100000000160000 5")
		w.want(clients6, "20010db80000000000000000000000010600000000160000 20")
	})
}

func wantRevoked(w *setWorld, source string) {
	w.Helper()
	if _, err := w.Revoke(from(source), port.Range{Protocol: 6, First: 1, Last: 65535}); err != nil {
		w.Fatal(err)
	}
}

func TestElementsForSeveralGrants(t *testing.T) {
	inWorlds(t, "the one that ends last counts", func(w *setWorld) {
		w.firewall()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		udp := ssh("192.0.2.1", 20*time.Minute)
		udp.Service = service("udp/22")
		grant(w, w.Gate, udp)
		w.want(clients4, "c0000201 20")
		if _, err := w.Revoke(udp.Source, udp.Service); err != nil {
			w.Fatal(err)
		}
		w.want(clients4, "c0000201 10")
		grant(w, w.Gate, ssh("192.0.2.1", 5*time.Minute))
		w.want(clients4, "c0000201 10")
		wantRevoked(w, "192.0.2.1")
		w.want(clients4)
	})
	inWorlds(t, "a grant again", func(w *setWorld) {
		w.firewall()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		grant(w, w.Gate, ssh("192.0.2.1", 20*time.Minute))
		w.want(clients4, "c0000201 20")
	})
	inWorlds(t, "its time is over", func(w *setWorld) {
		w.firewall()
		grant(w, w.Gate, ssh("192.0.2.1", MinTimeout))
		w.want(clients4, "c0000201 1")
		w.pass(MinTimeout + 100*time.Millisecond)
		w.want(clients4)
	})
}

func TestElementsOfOthersStay(t *testing.T) {
	mine, yours := key4("192.0.2.1"), key4("192.0.2.2")
	inWorlds(t, "without a timeout", func(w *setWorld) {
		w.firewall()
		w.sets.add(clients4, mine, 0)
		w.repair()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		w.want(clients4, "c0000201 0")
		if _, err := w.Repair(); err != nil {
			w.Fatal(err)
		}
		wantGrants(w.T, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		wantRevoked(w, "192.0.2.1")
		w.want(clients4, "c0000201 0")
	})
	inWorlds(t, "with more time", func(w *setWorld) {
		w.firewall()
		w.sets.add(clients4, mine, time.Hour)
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		wantRevoked(w, "192.0.2.1")
		w.want(clients4, "c0000201 60")
	})
	inWorlds(t, "with less time: the grant follows", func(w *setWorld) {
		w.firewall()
		w.sets.add(clients4, mine, time.Second)
		w.repair()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		w.want(clients4, "c0000201 1")
		w.pass(1100 * time.Millisecond)
		if _, err := w.Repair(); err != nil {
			w.Fatal(err)
		}
		w.want(clients4, "c0000201 10")
	})
	inWorlds(t, "deleted: the grant follows", func(w *setWorld) {
		w.firewall()
		w.sets.add(clients4, mine, 0)
		w.repair()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		w.sets.delete(clients4, mine)
		w.repair()
		w.want(clients4, "c0000201 10")
	})
	inWorlds(t, "of other addresses", func(w *setWorld) {
		w.firewall()
		w.sets.add(clients4, yours, 0)
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		if err := w.Remove(); err != nil {
			w.Fatal(err)
		}
		w.want(clients4, "c0000202 0")
	})
}

func TestSetsMadeAnew(t *testing.T) {
	inWorlds(t, "grants are put back, but those that ended", func(w *setWorld) {
		w.firewall()
		for _, a := range []string{"192.0.2.1", "192.0.2.2"} {
			grant(w, w.Gate, ssh(a, 10*time.Minute))
		}
		grant(w, w.Gate, ssh("192.0.2.3", MinTimeout))
		w.pass(MinTimeout + 100*time.Millisecond)
		w.sets.make(clients4, clientSet(nftables.TypeIPAddr))
		wantRevoked(w, "192.0.2.2")
		w.repair()
		w.want(clients4, "c0000201 10")
		w.wantTrouble("")
	})
	inWorlds(t, "with other keys", func(w *setWorld) {
		w.firewall()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		w.sets.make(clients4, clientSet(nftables.TypeIPAddr, nftables.TypeInetService))
		w.repair()
		w.want(clients4, "c000020100160000 10")
	})
	inWorlds(t, "missing for a while", func(w *setWorld) {
		w.firewall()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		w.sets.drop(clients4)
		w.repair()
		w.wantTrouble("set inet filter clients4 cannot take grants: it is not there")
		wantError(w.T, w.Grant(ssh("192.0.2.1", time.Minute)), ErrTarget)
		wantError(w.T, w.Grant(ssh("192.0.2.2", time.Minute)), ErrTarget)
		grant(w, w.Gate, ssh("2001:db8::1", 20*time.Minute))
		wantRevoked(w, "2001:db8::1")
		w.sets.make(clients4, clientSet(nftables.TypeIPAddr))
		w.repair()
		w.wantTrouble("")
		w.want(clients4, "c0000201 10")
	})
	inWorlds(t, "there only later than the gate", func(w *setWorld) {
		apply(w, w.Gate, setRuleset())
		w.wantTrouble("set inet other clients6 cannot take grants: it is not there")
		wantError(w.T, w.Grant(ssh("192.0.2.1", time.Minute)), ErrTarget)
		wantGrants(w.T, w.Gate)
		w.sets.make(clients4, clientSet(nftables.TypeIPAddr))
		w.sets.make(clients6, clientSet(nftables.TypeIP6Addr))
		w.repair()
		w.wantTrouble("")
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		w.want(clients4, "c0000201 10")
	})
	inWorlds(t, "an element that somebody deletes ends its grants", func(w *setWorld) {
		w.firewall()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		grant(w, w.Gate, ssh("192.0.2.2", 10*time.Minute))
		w.sets.delete(clients4, key4("192.0.2.1"))
		w.repair()
		w.want(clients4, "c0000202 10")
		wantGrants(w.T, w.Gate, ssh("192.0.2.2", 10*time.Minute))
	})
}

func TestSetsThatTakeNoGrants(t *testing.T) {
	const timeout = unix.NFT_SET_TIMEOUT
	address := []nftables.SetDatatype{nftables.TypeIPAddr}
	for problem, s := range map[string]FakeSet{
		`it lacks "flags timeout"`:         {Key: address},
		`it has "flags interval"`:          {Key: address, Flags: timeout | unix.NFT_SET_INTERVAL},
		"it is constant":                   {Key: address, Flags: unix.NFT_SET_CONSTANT},
		"it is a map":                      {Key: address, Flags: timeout | unix.NFT_SET_MAP},
		"its type is none for grants over": {Key: []nftables.SetDatatype{nftables.TypeIPAddr, nftables.TypeMark}, Flags: timeout},
		"over IPv4":                        {Key: []nftables.SetDatatype{nftables.TypeIP6Addr}, Flags: timeout},
	} {
		inWorlds(t, problem, func(w *setWorld) {
			w.sets.make(clients4, s)
			w.sets.make(clients6, clientSet(nftables.TypeIP6Addr))
			apply(w, w.Gate, setRuleset())
			w.wantTrouble(problem)
			err := w.Grant(ssh("192.0.2.1", time.Minute))
			wantError(w.T, err, ErrTarget)
			if err != nil && !strings.Contains(err.Error(), problem) {
				w.Errorf("%v, want %q", err, problem)
			}
			wantGrants(w.T, w.Gate)
			if len(w.sets.list(clients4)) != 0 {
				w.Error("the set has an element")
			}
			grant(w, w.Gate, ssh("2001:db8::1", 20*time.Minute))
		})
	}
}

func TestSetsThatAreFull(t *testing.T) {
	inWorlds(t, "of others", func(w *setWorld) {
		w.sets.make(clients4, FakeSet{Key: []nftables.SetDatatype{nftables.TypeIPAddr}, Flags: unix.NFT_SET_TIMEOUT, Size: 2})
		w.sets.make(clients6, clientSet(nftables.TypeIP6Addr))
		apply(w, w.Gate, setRuleset())
		w.sets.add(clients4, key4("192.0.2.8"), 0)
		w.sets.add(clients4, key4("192.0.2.9"), 0)
		err := w.Grant(ssh("192.0.2.1", time.Minute))
		if err == nil || !strings.Contains(err.Error(), `set inet filter clients4 is full: wait for elements of it to end, or give it a larger "size"`) {
			w.Errorf("error %v", err)
		}
		wantGrants(w.T, w.Gate)
		w.want(clients4, "c0000208 0", "c0000209 0")
	})
	inWorlds(t, "an access has its share", func(w *setWorld) {
		w.sets.make(clients4, FakeSet{Key: []nftables.SetDatatype{nftables.TypeIPAddr}, Flags: unix.NFT_SET_TIMEOUT, Size: 4})
		w.sets.make(clients6, clientSet(nftables.TypeIP6Addr))
		r := setRuleset()
		r.Quotas = map[string]int{"ssh": 100, "other": 100}
		apply(w, w.Gate, r)
		grant(w, w.Gate, ssh("192.0.2.1", time.Minute))
		grant(w, w.Gate, ssh("192.0.2.2", time.Minute))
		grant(w, w.Gate, ssh("192.0.2.2", 2*time.Minute))
		wantError(w.T, w.Grant(ssh("192.0.2.3", time.Minute)), ErrQuota)
		other := ssh("192.0.2.4", 3*time.Minute)
		other.Access = "other"
		grant(w, w.Gate, other)
		w.want(clients4, "c0000201 1", "c0000202 2", "c0000204 3")
	})
}

func TestChangeOfMode(t *testing.T) {
	gated := &Ruleset{Protected: services("tcp/22", "udp/22"), Openings: openings("tcp/22"), Group: 5}
	inWorlds(t, "from gate to set and back", func(w *setWorld) {
		apply(w, w.Gate, gated)
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		// Nothing is un-hidden while nothing else can let grants pass.
		wantError(w.T, w.Apply(setRuleset()), ErrTarget)
		w.sets.make(clients4, clientSet(nftables.TypeIPAddr))
		wantError(w.T, w.Apply(setRuleset()), ErrTarget)
		w.sets.make(clients6, clientSet(nftables.TypeIP6Addr))
		apply(w, w.Gate, setRuleset())
		w.want(clients4, "c0000201 10")
		apply(w, w.Gate, gated)
		w.want(clients4)
		wantGrants(w.T, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		w.wantTrouble("")
	})
	inWorlds(t, "to another set", func(w *setWorld) {
		w.firewall()
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		others := theirSet("ip filter others")
		w.sets.make(others, clientSet(nftables.TypeIPAddr, nftables.TypeInetService))
		r := setRuleset()
		r.Set4 = others
		apply(w, w.Gate, r)
		w.want(clients4)
		w.want(others, "c000020100160000 10")
	})
	inWorlds(t, "without a set for IPv6", func(w *setWorld) {
		w.firewall()
		r := setRuleset()
		r.Set6 = SetName{}
		apply(w, w.Gate, r)
		wantError(w.T, w.Grant(ssh("2001:db8::1", time.Minute)), ErrNoRoom)
	})
	inWorlds(t, "from gate to mark and back", func(w *setWorld) {
		apply(w, w.Gate, gated)
		grant(w, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		marked := *gated
		marked.Mode, marked.Mark = ModeMark, 0x10000
		apply(w, w.Gate, &marked)
		wantGrants(w.T, w.Gate, ssh("192.0.2.1", 10*time.Minute))
		apply(w, w.Gate, gated)
		wantGrants(w.T, w.Gate, ssh("192.0.2.1", 10*time.Minute))
	})
}

// TestSetsAfterRestart: what our table says is put back after the process was killed and
// the firewall was loaded anew meanwhile.
func TestSetsAfterRestart(t *testing.T) {
	host := netnstest.New(t)
	first := open(t, host, Config{})
	w := &setWorld{t, first, time.Sleep, newKernelFirewall(t, host)}
	w.firewall()
	grant(t, first, ssh("192.0.2.1", 10*time.Minute))
	grant(t, first, ssh("192.0.2.2", 10*time.Minute))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	w.want(clients4, "c0000201 10", "c0000202 10")
	second := open(t, host, Config{})
	w.Gate = second
	apply(t, second, setRuleset())
	w.want(clients4, "c0000201 10", "c0000202 10")
	wantRevoked(w, "192.0.2.1")
	w.want(clients4, "c0000202 10")
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	w.sets.make(clients4, clientSet(nftables.TypeIPAddr))
	w.Gate = open(t, host, Config{})
	apply(t, w.Gate, setRuleset())
	w.want(clients4, "c0000202 10")
}

// TestSavedElementsOfOurs: a firewall that was saved with our elements and is loaded again
// brings none of them back to life.
func TestSavedElementsOfOurs(t *testing.T) {
	host := netnstest.New(t)
	w := &setWorld{t, open(t, host, Config{}), time.Sleep, newKernelFirewall(t, host)}
	w.firewall()
	firewall := w.sets.(kernelFirewall)
	encoded(firewall.conn.SetAddElements(firewall.set(clients4), []nftables.SetElement{
		{Key: key4("192.0.2.1"), Timeout: time.Hour, Comment: "nftknock: ssh shared"},
	}))
	firewall.flush()
	w.repair()
	w.want(clients4)
}

func TestSetNames(t *testing.T) {
	for _, s := range []string{"inet filter ssh_clients", "ip filter a", "ip6 filter a.b-c", "netdev f s", "bridge f s"} {
		if n, err := ParseSetName(s); err != nil || n.String() != s {
			t.Errorf("%q is read as %q, %v", s, n, err)
		}
	}
	for _, s := range []string{"", "filter ssh", "inet filter", "arp filter a", "inet filter a b", " inet filter a", "inet  filter a", "inet fil\"ter a", "inet filter 1a"} {
		if n, err := ParseSetName(s); err == nil || n != (SetName{}) {
			t.Errorf("%q is read as %q", s, n)
		}
	}
}

func TestBadModes(t *testing.T) {
	for name, r := range map[string]Ruleset{
		"no set":             {Mode: ModeSet},
		"one for both":       {Mode: ModeSet, Set4: clients4, Set6: clients4},
		"of our table":       {Mode: ModeSet, Set4: theirSet("inet nftknock granted_tcp4")},
		"of the wrong table": {Mode: ModeSet, Set4: theirSet("ip6 filter a")},
		"hidden services":    {Mode: ModeSet, Set4: clients4, Protected: services("tcp/22")},
		"single use":         {Mode: ModeSet, Set4: clients4, Openings: []Opening{{Service: service("tcp/22"), Once: true}}},
		"a prefix":           {Mode: ModeSet, Set4: clients4, Openings: []Opening{{Service: service("tcp/22"), Bits4: 24}}},
		"forwarding":         {Mode: ModeSet, Set4: clients4, Forward: true},
		"many ports":         {Mode: ModeSet, Set4: clients4, Openings: openings("tcp/1000-1256")},
		"sets in gate":       {Set4: clients4},
		"sets in mark":       {Mode: ModeMark, Mark: 1, Set4: clients4},
		"no mark":            {Mode: ModeMark},
		"two bits":           {Mode: ModeMark, Mark: 3},
		"a mark in gate":     {Mark: 1},
	} {
		if err := r.Validate(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ok := Ruleset{Mode: ModeSet, Set6: clients6, Openings: []Opening{{Service: service("tcp/1000-1255"), Bits4: 32, Bits6: 128}}}
	if err := ok.Validate(); err != nil {
		t.Error(err)
	}
}
