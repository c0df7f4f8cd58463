package gate

import (
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"nftknock/test/netns/netnstest"
)

// TestSetOfAnotherOwner: a table that another process owns can be read, and not granted
// into. When that process ends, the table is gone.
func TestSetOfAnotherOwner(t *testing.T) {
	host := netnstest.New(t)
	w := &setWorld{t, open(t, host, Config{}), time.Sleep, newKernelFirewall(t, host)}
	w.sets.make(clients6, clientSet(nftables.TypeIP6Addr))
	other := newKernelFirewall(t, host).conn
	table := &nftables.Table{Name: "filter", Family: nftables.TableFamilyINet, Flags: nftables.TableFlagOwner}
	other.AddTable(table)
	encoded(other.AddSet(&nftables.Set{Table: table, Name: "clients4", KeyType: nftables.TypeIPAddr, HasTimeout: true}, nil))
	flush(t, other)
	apply(t, w.Gate, setRuleset())
	const owned = "set inet filter clients4 cannot take grants: its table is owned by another process"
	w.wantTrouble(owned)
	wantError(t, w.Grant(ssh("192.0.2.1", time.Minute)), ErrTarget)
	if err := other.CloseLasting(); err != nil {
		t.Fatal(err)
	}
	w.sets.make(clients4, clientSet(nftables.TypeIPAddr))
	w.repair()
	w.wantTrouble("")
	grant(t, w.Gate, ssh("192.0.2.1", 10*time.Minute))
}

// TestSetThatIsFlushed: "nft flush set" ends all grants in it, and nothing else.
func TestSetThatIsFlushed(t *testing.T) {
	host := netnstest.New(t)
	firewall := newKernelFirewall(t, host)
	w := &setWorld{t, open(t, host, Config{}), time.Sleep, firewall}
	w.firewall()
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1"} {
		grant(t, w.Gate, ssh(a, 10*time.Minute))
	}
	firewall.conn.FlushSet(firewall.set(clients4))
	firewall.flush()
	w.repair()
	w.want(clients4)
	wantGrants(t, w.Gate, ssh("2001:db8::1", 10*time.Minute))
}

// TestSetsWhileOurTableIsLost: what stands in the sets goes on, and still ends by a
// revocation after the table was restored.
func TestSetsWhileOurTableIsLost(t *testing.T) {
	host := netnstest.New(t)
	k := open(t, host, Config{Owner: OwnerOff})
	firewall := newKernelFirewall(t, host)
	w := &setWorld{t, k, time.Sleep, firewall}
	w.firewall()
	grant(t, k, ssh("192.0.2.1", 10*time.Minute))
	firewall.conn.DelTable(k.table.netlink(0))
	firewall.flush()
	w.want(clients4, "c0000201 10")
	w.repair()
	if list := grants(t, k); len(list) != 1 {
		t.Errorf("grants %v", list)
	}
	w.want(clients4, "c0000201 10")
	wantRevoked(w, "192.0.2.1")
	w.want(clients4)

	// An element of our own table that somebody deletes ends the grant there, too.
	grant(t, k, ssh("192.0.2.2", 10*time.Minute))
	g := ssh("192.0.2.2", 0)
	own := grantSetOf(g.element())
	encoded(firewall.conn.SetDeleteElements(own.in(k.table.netlink(0)), []nftables.SetElement{{Key: own.key(g.Source, g.Service)}}))
	firewall.flush()
	for range 500 {
		// The first change that is told may be an earlier one.
		if _, err := k.Repair(); err != nil || len(w.sets.list(clients4)) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.want(clients4)
}

// TestRevokesMany: more elements than are asked for one by one.
func TestRevokesMany(t *testing.T) {
	inWorlds(t, "addresses", func(w *setWorld) {
		w.firewall()
		for n := range 3 * manyKeys {
			g := ssh("192.0.2.1", 10*time.Minute)
			g.Source = nth(n)
			grant(w, w.Gate, g)
		}
		if got := len(w.sets.list(clients4)); got != 3*manyKeys {
			w.Errorf("%d elements", got)
		}
		if _, err := w.Revoke(prefix("0.0.0.0/0"), service("tcp/22")); err != nil {
			w.Fatal(err)
		}
		w.want(clients4)
	})
}

// BenchmarkGrantByMode is a grant alone, and one that is an element of another table, too.
func BenchmarkGrantByMode(b *testing.B) {
	for _, mode := range []string{"gate", "set"} {
		b.Run(mode, func(b *testing.B) {
			host := netnstest.New(b)
			k := open(b, host, Config{})
			if mode == "gate" {
				apply(b, k, &Ruleset{Protected: services("tcp/22")})
			} else {
				w := newKernelFirewall(b, host)
				w.make(clients4, clientSet(nftables.TypeIPAddr))
				w.make(clients6, clientSet(nftables.TypeIP6Addr))
				apply(b, k, setRuleset())
			}
			n := 0
			for b.Loop() {
				n++
				grant(b, k, Grant{Source: nth(n % 60000), Service: service("tcp/22"), Timeout: time.Hour + time.Duration(n)*time.Second})
			}
		})
	}
}

func FuzzParseForm(f *testing.F) {
	number := func(kind uint16, n byte) netlink.Attribute {
		return netlink.Attribute{Type: kind, Data: []byte{0, 0, 0, n}}
	}
	f.Add(event(unix.NFT_MSG_NEWSET, unix.NFPROTO_INET, 0, text(1, "filter"), text(2, "clients"),
		number(unix.NFTA_SET_FLAGS, unix.NFT_SET_TIMEOUT), number(unix.NFTA_SET_KEY_TYPE, 7),
		netlink.Attribute{Type: unix.NFTA_SET_DESC | unix.NLA_F_NESTED, Data: []byte{8, 0, 1, 0, 0, 0, 0, 9}},
		netlink.Attribute{Type: setHandle, Data: []byte{0, 0, 0, 0, 0, 0, 0, 9}}).Data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		form, err := parseForm([]netlink.Message{{Data: data}})
		if err != nil && form != (targetForm{}) {
			t.Errorf("%x: %+v, %v", data, form, err)
		}
		// Whatever a set is: no grant goes where it would not end.
		if got, err := newTarget(clients4, form, ipv4()); err == nil &&
			(form.flags&flagTimeout == 0 || form.flags&(flagConstant|flagInterval|flagMap) != 0 || got.key.family != ipv4()) {
			t.Errorf("%x: %+v takes grants", data, form)
		}
	})
}

func TestParseForm(t *testing.T) {
	got, err := parseForm([]netlink.Message{event(unix.NFT_MSG_NEWSET, unix.NFPROTO_INET, 0,
		netlink.Attribute{Type: unix.NFTA_SET_FLAGS, Data: []byte{0, 0, 0, 0x10}},
		netlink.Attribute{Type: unix.NFTA_SET_KEY_TYPE, Data: []byte{0, 0, 0, 7}},
		netlink.Attribute{Type: unix.NFTA_SET_DESC | unix.NLA_F_NESTED, Data: []byte{8, 0, 1, 0, 0, 0, 1, 2}},
		netlink.Attribute{Type: setHandle, Data: []byte{0, 0, 0, 0, 0, 0, 0, 9}})})
	if want := (targetForm{id: targetID{set: 9}, flags: flagTimeout, keyType: 7, size: 0x102}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func FuzzParseSetName(f *testing.F) {
	f.Add("inet filter ssh_clients")
	f.Add("ip6 a b")
	f.Add("filter ssh")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseSetName(s)
		if err == nil && n.String() != s || err != nil && n != (SetName{}) {
			t.Errorf("%q: %q, %v", s, n, err)
		}
		if err == nil {
			_ = n.table() // which panics for a family that it does not know
		}
	})
}

func TestChangesOfTargets(t *testing.T) {
	w := &watcher{ours: 7}
	w.targets.Store(&[]SetName{clients4})
	for _, tt := range []struct {
		name    string
		message netlink.Message
		want    bool
	}{
		{"an element", event(unix.NFT_MSG_DELSETELEM, unix.NFPROTO_INET, 1, text(1, "filter"), text(2, "clients4")), true},
		{"of another set", event(unix.NFT_MSG_DELSETELEM, unix.NFPROTO_INET, 1, text(1, "filter"), text(2, "clients")), false},
		{"of another table", event(unix.NFT_MSG_DELSETELEM, unix.NFPROTO_INET, 1, text(1, "filters"), text(2, "clients4")), false},
		{"of another family", event(unix.NFT_MSG_DELSETELEM, unix.NFPROTO_IPV4, 1, text(1, "filter"), text(2, "clients4")), false},
		{"from us", event(unix.NFT_MSG_NEWSETELEM, unix.NFPROTO_INET, 7, text(1, "filter"), text(2, "clients4")), false},
		{"a set", event(unix.NFT_MSG_NEWSET, unix.NFPROTO_INET, 1, text(1, "filter"), text(2, "clients4")), true},
		{"a table", event(unix.NFT_MSG_DELTABLE, unix.NFPROTO_INET, 1, text(1, "filter")), true},
		{"a rule", event(unix.NFT_MSG_NEWRULE, unix.NFPROTO_INET, 1, text(1, "filter"), text(2, "clients4")), false},
	} {
		if got := w.touchesTarget(tt.message); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
