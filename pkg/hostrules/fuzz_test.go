package hostrules

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

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
	f.Add([]byte{}, []byte{}, []byte{}, uint8(0)) // rules of nft are in testdata
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

// The kernel's messages are parsed or refused: what is refused leaves nothing behind, and
// what is not can be printed, and has a place in the table that it names.
func FuzzMessage(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0}) // rules of nft are in testdata
	f.Fuzz(func(t *testing.T, b []byte) {
		family, a, err := parseMessage(b)
		if err != nil {
			return
		}
		fresh := func() *reader {
			table := &Table{Family: family, Name: a.text(1), sets: make(map[string]*set)}
			table.Chains = []*Chain{{Table: table, Name: a.text(ruleChain)}}
			return &reader{rules: Ruleset{Tables: []*Table{table}}}
		}
		r := fresh()
		if err := r.addRule(family, a); (err == nil) != (r.rules.Size() == 1) {
			t.Errorf("%d rules with %v", r.rules.Size(), err)
		}
		for _, rule := range r.rules.Tables[0].Chains[0].Rules {
			if s := rule.String(); len(rule.exprs) > maxExpressions || len(s) > maxText+4 {
				t.Errorf("%d expressions, %d bytes of text", len(rule.exprs), len(s))
			}
		}
		r = fresh()
		if err := r.addChain(family, a); (err == nil) != (len(r.rules.Tables[0].Chains) == 2) {
			t.Errorf("%d chains with %v", len(r.rules.Tables[0].Chains), err)
		}
		r = fresh()
		if err := r.addSet(family, a); err == nil && r.rules.Tables[0].sets[a.text(setName)] == nil {
			t.Error("no set")
		}
		if err := r.addTable(family, a); err != nil || len(r.rules.Tables) != 2 {
			t.Error("no table")
		}
	})
}
