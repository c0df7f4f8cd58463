package hostrules

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A branch is a verdict that a rule may give.
type branch struct {
	verdict verdict
	kind    Kind // of a verdict that stops the packet
	found   tri  // yes: every packet that reaches the rule gets it
}

// An effect is what a rule does with a packet.
type effect struct {
	branches  []branch
	continues tri // whether the packet goes on to the next rule: never, some, all
}

// An evaluation is that of one rule.
type evaluation struct {
	w       *walker
	rule    *Rule
	packet  *state
	regs    value
	match   tri
	reached tri // whether every packet comes to this rule
	effect  effect
	done    bool // a verdict was given
}

// registerBytes is the size of all registers: the verdict, then four of 16 bytes, or 16
// of 4 bytes (struct nft_regs, include/net/netfilter/nf_tables.h).
const registerBytes = 80

// evaluate says what a rule does with a packet. reached says whether every packet comes
// to the rule: only then is what the rule changes of the packet known afterwards.
func evaluate(w *walker, r *Rule, s *state, reached tri) effect {
	var b, k [registerBytes]byte
	e := &evaluation{w: w, rule: r, packet: s, regs: value{b[:], k[:]}, match: yes, reached: reached}
	for _, x := range r.exprs {
		e.expression(x)
		if e.match == no {
			return effect{continues: yes}
		}
		if e.done {
			break
		}
	}
	if len(e.effect.branches) == 0 {
		return effect{continues: yes}
	}
	for i := range e.effect.branches {
		b := &e.effect.branches[i]
		b.found = min(b.found, e.match)
	}
	if e.match == maybe {
		e.effect.continues = maxTri(e.effect.continues, maybe)
	}
	return e.effect
}

func maxTri(a, b tri) tri {
	if a > b {
		return a
	}
	return b
}

// certain reports whether every packet comes to this expression.
func (e *evaluation) certain() bool { return min(e.match, e.reached) == yes }

// require makes the rule match only if t.
func (e *evaluation) require(t tri) { e.match = min(e.match, t) }

// give ends the rule with a verdict.
func (e *evaluation) give(v verdict, k Kind) {
	e.effect = effect{branches: []branch{{v, k, yes}}}
	e.done = true
}

// register returns the place of a register, and false if n bytes do not fit there
// (nft_parse_register, net/netfilter/nf_tables_api.c).
func register(number uint32, n int) (int, bool) {
	at := int64(number) * 16
	if number >= 8 { // NFT_REG32_00
		at = 16 + (int64(number)-8)*4
	}
	return int(at), at >= 16 && n >= 0 && at+int64(n) <= registerBytes
}

// load returns n bytes of a register; what cannot be there is unknown.
func (e *evaluation) load(number uint32, n int) value {
	if at, ok := register(number, n); ok {
		return e.regs.part(at, n)
	}
	return unknown(min(max(n, 0), registerBytes))
}

// store puts a value into a register, filled up with zeros to whole words.
func (e *evaluation) store(number uint32, v value) {
	n := (len(v.b) + 3) &^ 3
	at, ok := register(number, n)
	if !ok {
		e.forget()
		return
	}
	e.regs.put(at, known(make([]byte, n)))
	e.regs.put(at, v)
}

// forget makes all registers unknown: after an expression that wrote somewhere.
func (e *evaluation) forget() { e.regs = unknown(registerBytes) }

// change is for what a rule sets: not known to be so unless every packet comes here.
func (e *evaluation) change(old, new value) value {
	if e.certain() {
		return new
	}
	return old.merge(new)
}

// expressions by name. What is not here has an unknown result.
var expressions map[string]func(*evaluation, attrs)

func init() {
	// Set here because match and target refer to evaluation, which refers to the map.
	nothing := func(*evaluation, attrs) {}
	expressions = map[string]func(*evaluation, attrs){
		"meta": (*evaluation).meta, "payload": (*evaluation).payload, "ct": (*evaluation).ct, "fib": (*evaluation).fib,
		"cmp": (*evaluation).cmp, "range": (*evaluation).inRange, "bitwise": (*evaluation).bitwise,
		"byteorder": (*evaluation).byteorder, "immediate": (*evaluation).immediate,
		"lookup": (*evaluation).lookup, "dynset": (*evaluation).dynset, "objref": (*evaluation).objref,
		"counter": nothing, "log": nothing, "dup": nothing, "tproxy": nothing, "flow_offload": nothing, "secmark": nothing, "last": nothing,
		"reject":  func(e *evaluation, _ attrs) { e.give(verdict{code: codeDrop}, Rejected) },
		"queue":   func(e *evaluation, _ attrs) { e.give(verdict{code: codeDrop}, Queued) },
		"fwd":     func(e *evaluation, _ attrs) { e.give(verdict{code: codeDrop}, Diverted) },
		"notrack": func(e *evaluation, _ attrs) { e.untrack() },
		"nat":     (*evaluation).nat, "redir": (*evaluation).redirect,
		"masq": func(e *evaluation, _ attrs) { e.give(verdict{code: codeAccept}, 0) },
		// The kernel answers the SYN itself, and lets the connection through later.
		"synproxy": func(e *evaluation, _ attrs) { e.give(verdict{code: codeAccept}, 0) },
		"match":    (*evaluation).xtMatch, "target": (*evaluation).xtTarget,
	}
}

func (e *evaluation) expression(x expr) {
	if f, ok := expressions[x.name]; ok {
		f(e, x.attrs)
		return
	}
	e.require(maybe)
	e.forget()
}

// Keys of what an expression has: the destination register has number 1 in meta, payload,
// ct, fib and immediate.

func (e *evaluation) meta(a attrs) {
	const dreg, key, sreg = 1, 2, 3
	k := a.u32(key)
	switch {
	case !a.has(sreg):
		e.store(a.u32(dreg), e.packet.meta(k))
	case k == metaMark:
		e.packet.mark = e.change(e.packet.mark, e.load(a.u32(sreg), 4))
	}
}

// Bases of a payload expression (enum nft_payload_bases).
const (
	baseLink      = 0
	baseNetwork   = 1
	baseTransport = 2
)

func (e *evaluation) payload(a attrs) {
	const dreg, base, offset, length, sreg = 1, 2, 3, 4, 5
	at, n := int(a.u32(offset)&0xffff), int(a.u32(length)&0xff)
	if a.has(sreg) {
		e.rewrite(a.u32(base), at)
		return
	}
	v := unknown(n)
	switch a.u32(base) {
	case baseLink:
		v = e.packet.link().part(at, n)
	case baseNetwork:
		v = e.packet.network().part(at, n)
	case baseTransport:
		v = e.packet.transport().part(at, n)
	}
	e.store(a.u32(dreg), v)
}

// rewrite notes that a rule writes into the packet.
func (e *evaluation) rewrite(base uint32, at int) {
	switch {
	case base == baseTransport && at < 4:
		e.packet.Port = 0
	case base == baseNetwork:
		e.packet.Destination = netip.Addr{}
	}
}

func (e *evaluation) ct(a attrs) {
	const dreg, key, sreg = 1, 2, 4
	if a.has(sreg) {
		if a.u32(key) == ctMark {
			e.packet.ctMark = e.change(e.packet.ctMark, e.load(a.u32(sreg), 4))
		}
		return
	}
	v, has := e.packet.ct(a.u32(key))
	e.require(has)
	e.store(a.u32(dreg), v)
}

func (e *evaluation) untrack() {
	if e.packet.tracked() {
		return // too late: it has a connection
	}
	now := maybe
	if e.certain() {
		now = yes
	}
	e.packet.untracked = maxTri(e.packet.untracked, now)
	e.w.record(Outcome{Kind: Untracked, Chain: e.rule.Chain, Rule: e.rule, Certain: e.certain()})
}

func (e *evaluation) fib(a attrs) {
	const dreg, result, flags = 1, 2, 3
	const source, destination, iif, oif, present = 1, 2, 8, 16, 32
	const resultOIF, resultOIFName, resultType = 1, 2, 3
	f, v := a.u32(flags), unknown(unix.IFNAMSIZ)
	switch r := a.u32(result); {
	case r == resultType && f&(destination|iif|oif) == destination && e.packet.Forwarded:
		v = knownHost(routeUnicast)
	case r == resultType && f&(destination|iif|oif) == destination:
		v = knownHost(routeLocal)
	// The reverse path: a source whose answers leave by the interface it came from.
	case f&(source|iif) == source|iif && f&present != 0:
		v = known8(1)
	case f&(source|iif) == source|iif && r == resultOIF && e.packet.Index != 0:
		v = knownHost(uint32(e.packet.Index))
	case f&(source|iif) == source|iif && r == resultOIFName && e.packet.Interface != "":
		v = name(e.packet.Interface)
	}
	e.store(a.u32(dreg), v)
}

func (e *evaluation) cmp(a attrs) {
	const sreg, op, data = 1, 2, 3
	b := a.value(data)
	v := e.load(a.u32(sreg), len(b))
	found := maybe
	switch a.u32(op) { // enum nft_cmp_ops
	case 0:
		found = v.equals(b)
	case 1:
		found = v.equals(b).not()
	case 2:
		found = v.less(b)
	case 3:
		found = maxTri(v.less(b), v.equals(b))
	case 4:
		found = maxTri(v.less(b), v.equals(b)).not()
	case 5:
		found = v.less(b).not()
	}
	if len(b) == 0 {
		found = maybe
	}
	e.require(found)
}

func (e *evaluation) inRange(a attrs) {
	const sreg, op, from, to = 1, 2, 3, 4
	first, last := a.value(from), a.value(to)
	if len(first) == 0 || len(first) != len(last) {
		e.require(maybe)
		return
	}
	found := e.load(a.u32(sreg), len(first)).within(first, last)
	if a.u32(op) == 1 { // NFT_RANGE_NEQ
		found = found.not()
	}
	e.require(found)
}

func (e *evaluation) bitwise(a attrs) {
	const sreg, dreg, length, mask, xor, op = 1, 2, 3, 4, 5, 6
	n := int(a.u32(length) & 0xff)
	m, x := a.value(mask), a.value(xor)
	if a.u32(op) != 0 || len(m) != n || len(x) != n {
		e.store(a.u32(dreg), unknown(n))
		return
	}
	e.store(a.u32(dreg), e.load(a.u32(sreg), n).masked(m, x))
}

func (e *evaluation) byteorder(a attrs) {
	const sreg, dreg, length, size = 1, 2, 4, 5
	v := e.load(a.u32(sreg), int(a.u32(length)&0xff))
	if unit := a.u32(size); unit == 2 || unit == 4 || unit == 8 {
		if binary.NativeEndian.Uint16([]byte{0, 1}) != 1 { // a little-endian machine
			v = v.swapped(int(unit))
		}
	} else {
		v = unknown(len(v.b))
	}
	e.store(a.u32(dreg), v)
}

func (e *evaluation) immediate(a attrs) {
	const dreg, data = 1, 2
	if v, ok := a.verdict(data); ok {
		e.give(v, Dropped)
		return
	}
	e.store(a.u32(dreg), known(bytes.Clone(a.value(data))))
}

func (e *evaluation) lookup(a attrs) {
	const set, sreg, dreg, flags = 1, 2, 3, 5
	s := e.rule.Chain.Table.sets[a.text(set)]
	if s == nil {
		e.require(maybe)
		e.forget()
		return
	}
	list, in := e.search(s, a.u32(sreg))
	switch {
	case !a.has(dreg) && a.u32(flags)&1 != 0: // NFT_LOOKUP_F_INV
		e.require(in.not())
	case !a.has(dreg):
		e.require(in)
	case a.u32(dreg) == 0: // NFT_REG_VERDICT
		e.verdicts(list, in)
	default:
		e.require(in)
		e.store(a.u32(dreg), mapped(list))
	}
}

// search looks the key in a register up.
func (e *evaluation) search(s *set, sreg uint32) ([]candidate, tri) {
	n := 0
	for _, x := range s.elements {
		n = max(n, len(x.first))
	}
	list, in := s.find(e.load(sreg, n))
	if e.packet.Members[s.table.String()+" "+s.name] {
		in = yes
	}
	return list, in
}

// mapped is what a map gives for a key that one of the candidates covers.
func mapped(list []candidate) value {
	if len(list) == 0 {
		return unknown(16)
	}
	v := known(list[0].data)
	for _, c := range list[1:] {
		if len(c.data) != len(v.b) {
			return unknown(16)
		}
		v = v.merge(known(c.data))
	}
	return v
}

// verdicts ends the rule with those of a verdict map.
func (e *evaluation) verdicts(list []candidate, in tri) {
	e.require(in)
	if in == no {
		return
	}
	e.effect = effect{continues: in.not()}
	for _, c := range list {
		v := verdict{code: codeContinue}
		if c.verdict != nil {
			v = *c.verdict
		}
		if v.code == codeContinue || v.code == codeBreak {
			e.effect.continues = maxTri(e.effect.continues, c.found)
		}
		e.effect.branches = append(e.effect.branches, branch{v, Dropped, c.found})
	}
	e.done = true
}

func (e *evaluation) dynset(a attrs) {
	const op, expression, flags, expressions = 3, 7, 9, 10
	const opDelete, inverted = 2, 1
	nested := a.has(expressions) || a.has(expression)
	if nested || a.u32(op) == opDelete || a.u32(flags)&inverted != 0 {
		e.require(e.onlyCounts(a))
	}
}

// onlyCounts returns yes for an update of a set whose element has no limit or the like.
func (e *evaluation) onlyCounts(a attrs) tri {
	const op, expression, flags = 3, 7, 9
	if a.u32(op) == 2 || a.u32(flags)&1 != 0 || !a.has(expression) {
		return maybe
	}
	if x, err := parseExpr(a[expression]); err == nil && x.name == "counter" {
		return yes
	}
	return maybe
}

func (e *evaluation) objref(a attrs) {
	const kind = 1
	const quota, limit, connlimit, synproxy = 2, 4, 5, 10 // NFT_OBJECT_*
	switch k := a.u32(kind); {
	case !a.has(kind), k == quota, k == limit, k == connlimit, k == synproxy:
		e.require(maybe)
	}
}

func (e *evaluation) nat(a attrs) {
	const kind, address, minPort = 1, 3, 5
	if a.u32(kind) == 1 { // NFT_NAT_DNAT
		t := translation{}
		if a.has(address) {
			t.to = netip.AddrPortFrom(e.addressIn(a.u32(address)), 0)
		}
		// Without an address, its place is that of the packet.
		t.here = !a.has(address)
		if v := e.load(a.u32(minPort), 2); a.has(minPort) && v.complete() {
			t.to = netip.AddrPortFrom(t.to.Addr(), binary.BigEndian.Uint16(v.b))
		}
		e.translate(t)
	}
	e.give(verdict{code: codeAccept}, 0)
}

// addressIn returns the address in a register, invalid if it is unknown.
func (e *evaluation) addressIn(number uint32) netip.Addr {
	n := 4
	if e.packet.V6 {
		n = 16
	}
	v := e.load(number, n)
	if !v.complete() {
		return netip.Addr{}
	}
	addr, _ := netip.AddrFromSlice(v.b)
	return addr
}

func (e *evaluation) redirect(a attrs) {
	const minPort = 1
	t := translation{here: true}
	if v := e.load(a.u32(minPort), 2); a.has(minPort) && v.complete() {
		t.to = netip.AddrPortFrom(netip.Addr{}, binary.BigEndian.Uint16(v.b))
	}
	e.translate(t)
	e.give(verdict{code: codeAccept}, 0)
}

func (e *evaluation) translate(t translation) {
	t.certain = e.certain()
	if e.packet.hook != Prerouting {
		return
	}
	e.w.translations = append(e.w.translations, t)
	e.w.record(Outcome{Kind: Translated, Chain: e.rule.Chain, Rule: e.rule, Certain: t.certain, To: t.to})
}
