package hostrules

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// encode writes expressions as the kernel does.
func encode(t testing.TB, exprs []expr) []byte {
	list := netlink.NewAttributeEncoder()
	for _, x := range exprs {
		list.Nested(1, func(e *netlink.AttributeEncoder) error {
			e.String(exprName, x.name)
			e.Nested(exprData, func(d *netlink.AttributeEncoder) error {
				for _, typ := range slices.Sorted(maps.Keys(x.attrs)) {
					if typ&unpacked == 0 {
						d.Bytes(typ, x.attrs[typ])
					}
				}
				return nil
			})
			return nil
		})
	}
	b, err := list.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fuzzed makes a ruleset of two rules in a chain at a hook, and a chain that they may jump
// to. It returns nil if the bytes are none.
func fuzzed(first, second, elements []byte, place uint8) *Ruleset {
	table := &Table{Family: FamilyINet, Name: "t", sets: make(map[string]*set)}
	base := &Chain{Table: table, Name: "base", Hook: []Hook{Prerouting, Input}[place%2], Priority: []int32{-300, 0}[place/2%2], Type: "filter", Drops: place&4 != 0}
	other := &Chain{Table: table, Name: "other"}
	table.Chains = []*Chain{base, other}
	for c, b := range map[*Chain][]byte{base: first, other: second} {
		exprs, err := parseExprs(b)
		if err != nil {
			return nil
		}
		c.Rules = []*Rule{{Chain: c, exprs: exprs}}
	}
	s := &set{table: table, name: "s", interval: place&8 != 0}
	err := eachAttr(elements, func(_ uint16, b []byte) error {
		e, err := parseElement(b)
		s.elements = append(s.elements, e)
		return err
	})
	if err != nil {
		return nil
	}
	s.finish()
	table.sets["s"] = s
	return &Ruleset{Tables: []*Table{table}}
}

// To know more of a packet never contradicts what was certain with less: what stops all
// packets stops this one, and where nothing can stop one, nothing stops this.
func FuzzWalk(f *testing.F) {
	rules := load(f, `table inet t {
		set s { type inet_service; flags interval; elements = { 20-25, 80 } }
		chain other { tcp dport vmap { 22 : accept, 23 : drop }; ct state established,related accept; tcp dport @s accept; meta mark set 0x10; limit rate 3/second drop; }
		chain base { type filter hook input priority 0;
			tcp dport 22 ct state new jump other
			ip saddr 10.0.0.0/8 tcp dport >= 22 meta mark 0x10 accept
			iifname "eth*" udp dport != 53 reject
			fib daddr type local tcp flags & (syn|ack) == syn ip daddr 192.0.2.1 drop
			tcp dport @s goto other
			ip daddr 192.0.2.0/24 return
		}
	}`)
	table := rules.Tables[0]
	for i, a := range table.chain("base").Rules {
		for _, b := range table.chain("other").Rules {
			f.Add(encode(f, a.exprs), encode(f, b.exprs), []byte{}, uint8(i))
		}
	}
	f.Fuzz(func(t *testing.T, first, second, elements []byte, place uint8) {
		r := fuzzed(first, second, elements, place)
		if r == nil {
			return
		}
		for _, rule := range r.Tables[0].Chains {
			_ = rule.Rules[0].String()
		}
		less := Packet{Protocol: unix.IPPROTO_TCP}
		port := less
		port.Port = 22
		more := port
		more.Interface, more.Index, more.Destination = "eth0", 2, netip.MustParseAddr("192.0.2.1")
		for _, pair := range [][2]Packet{{less, port}, {port, more}, {less, more}} {
			a, b := r.Walk(pair[0], nil), r.Walk(pair[1], nil)
			if a.Incomplete || b.Incomplete {
				continue
			}
			if a.Blocked && !b.Blocked {
				t.Errorf("%v\n%v\nblocked with less, and not with more known: %+v, %+v", r.Tables[0].Chains[0].Rules[0], r.Tables[0].Chains[1].Rules[0], pair[0], pair[1])
			}
			if !a.Stops() && b.Stops() {
				t.Errorf("%v\n%v\nstopped with more known, and not with less: %+v, %+v", r.Tables[0].Chains[0].Rules[0], r.Tables[0].Chains[1].Rules[0], pair[0], pair[1])
			}
		}
	})
}

// The kernel's messages are parsed or refused.
func FuzzMessage(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		family, a, err := parseMessage(b)
		if err != nil {
			return
		}
		for _, add := range []func(*reader) error{
			func(r *reader) error { return r.addTable(family, a) },
			func(r *reader) error { return r.addChain(family, a) },
			func(r *reader) error { return r.addSet(family, a) },
			func(r *reader) error { return r.addRule(family, a) },
		} {
			r := &reader{}
			r.rules.Tables = []*Table{{Family: family, Name: a.text(1), sets: make(map[string]*set)}}
			if err := add(r); err != nil && len(r.rules.Tables) > 1 {
				t.Error("an error, and a table")
			}
		}
	})
}
