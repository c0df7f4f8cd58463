package hostrules

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"
)

// maxText bounds the text of a rule, maxListed the elements of a set that are written out.
const (
	maxText   = 400
	maxListed = 8
)

// String returns the rule as nft would print it, as far as it is understood: what is not
// is a word in brackets. It is for people, not for nft.
func (r *Rule) String() string {
	p := printer{rule: r, regs: make(map[uint32]term)}
	for _, x := range r.exprs {
		p.expression(x)
	}
	s := strings.Join(p.words, " ")
	if len(s) > maxText {
		s = s[:maxText] + " ..."
	}
	return strings.ToValidUTF8(strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return -1
	}, s), "")
}

// A term is what a register holds: words for it, and how its values are written.
type term struct {
	words string
	value func([]byte) string
}

type printer struct {
	rule  *Rule
	regs  map[uint32]term
	words []string
}

func (p *printer) say(format string, args ...any) {
	p.words = append(p.words, fmt.Sprintf(format, args...))
}

func (p *printer) term(number uint32) term {
	if t, ok := p.regs[number]; ok {
		return t
	}
	return term{"[register]", hexText}
}

func hexText(b []byte) string { return fmt.Sprintf("0x%x", b) }

func bigText(b []byte) string {
	if len(b) > 8 {
		return hexText(b)
	}
	var n uint64
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return strconv.FormatUint(n, 10)
}

func hostText(b []byte) string {
	if len(b) != 4 {
		return hexText(b)
	}
	return fmt.Sprintf("0x%08x", binary.NativeEndian.Uint32(b))
}

func hostDecimal(b []byte) string {
	if len(b) != 4 {
		return hexText(b)
	}
	return strconv.FormatUint(uint64(binary.NativeEndian.Uint32(b)), 10)
}

func nameText(b []byte) string {
	s, _, ended := strings.Cut(string(b), "\x00")
	if !ended && len(b) < unix.IFNAMSIZ {
		s += "*"
	}
	return strconv.Quote(s)
}

func addressText(b []byte) string {
	if a, ok := netip.AddrFromSlice(b); ok {
		return a.String()
	}
	return hexText(b)
}

// prefixText is for the first bytes of an address of size bytes.
func prefixText(size int) func([]byte) string {
	return func(b []byte) string {
		if len(b) >= size || len(b) == 0 {
			return addressText(b)
		}
		a, _ := netip.AddrFromSlice(append(bytes.Clone(b), make([]byte, size-len(b))...))
		return netip.PrefixFrom(a, 8*len(b)).String()
	}
}

func protocolText(b []byte) string {
	if len(b) == 1 {
		switch b[0] {
		case unix.IPPROTO_TCP:
			return "tcp"
		case unix.IPPROTO_UDP:
			return "udp"
		case unix.IPPROTO_ICMP:
			return "icmp"
		case unix.IPPROTO_ICMPV6:
			return "ipv6-icmp"
		}
	}
	return bigText(b)
}

func familyText(b []byte) string {
	switch {
	case len(b) == 1 && b[0] == unix.NFPROTO_IPV4:
		return "ipv4"
	case len(b) == 1 && b[0] == unix.NFPROTO_IPV6:
		return "ipv6"
	}
	return bigText(b)
}

func typeText(b []byte) string {
	if len(b) == 4 {
		names := []string{"unspec", "unicast", "local", "broadcast", "anycast", "multicast", "blackhole", "unreachable", "prohibit"}
		if n := binary.NativeEndian.Uint32(b); n < uint32(len(names)) {
			return names[n]
		}
	}
	return hexText(b)
}

func stateText(b []byte) string {
	if len(b) != 4 {
		return hexText(b)
	}
	var list []string
	n := binary.NativeEndian.Uint32(b)
	for _, s := range []struct {
		bit  uint32
		name string
	}{{1, "invalid"}, {2, "established"}, {4, "related"}, {8, "new"}, {64, "untracked"}} {
		if n&s.bit != 0 {
			list = append(list, s.name)
		}
	}
	return strings.Join(list, ",")
}

func (p *printer) expression(x expr) {
	const dreg = 1
	switch a := x.attrs; x.name {
	case "meta":
		p.load(a, 3, metaTerm(a.u32(2)))
	case "ct":
		p.load(a, 4, ctTerm(a.u32(2)))
	case "payload":
		p.load(a, 5, payloadTerm(a))
	case "fib":
		p.regs[a.u32(dreg)] = fibTerm(a)
	case "cmp":
		p.cmp(a)
	case "range":
		t := p.term(a.u32(1))
		p.say("%s %s%s-%s", t.words, notIf(a.u32(2) == 1), t.value(a.value(3)), t.value(a.value(4)))
	case "bitwise":
		t := p.term(a.u32(1))
		if m := a.value(4); len(m) > 0 && !isOnes(m) {
			t.words += " & " + t.value(m)
		}
		p.regs[a.u32(2)] = t
	case "byteorder":
		p.regs[a.u32(2)] = p.term(a.u32(1))
	case "immediate":
		p.immediate(a)
	case "lookup":
		p.lookup(a)
	case "nat", "redir":
		p.nat(x)
	case "counter", "last":
	case "match", "target":
		p.say("[xt %s]", a.text(xtName))
	case "reject", "queue", "notrack", "masq", "log", "limit", "fwd", "dup", "synproxy":
		p.say("%s", strings.Replace(x.name, "masq", "masquerade", 1))
	case "dynset":
		p.say("update @%s", a.text(1))
	default:
		p.say("[%s]", x.name)
	}
}

func isOnes(b []byte) bool { return value{b, b}.complete() }

func notIf(b bool) string {
	if b {
		return "!= "
	}
	return ""
}

// load is for an expression that loads a term, or sets it if it has a source register.
func (p *printer) load(a attrs, sreg uint16, t term) {
	if a.has(sreg) {
		p.say("%s set %s", t.words, p.term(a.u32(sreg)).words)
		return
	}
	p.regs[a.u32(1)] = t
}

func metaTerm(key uint32) term {
	switch key {
	case metaProtocol:
		return term{"meta protocol", hexText}
	case metaMark:
		return term{"meta mark", hostText}
	case metaIIF:
		return term{"iif", hostDecimal}
	case metaOIF:
		return term{"oif", hostDecimal}
	case metaIIFName:
		return term{"iifname", nameText}
	case metaOIFName:
		return term{"oifname", nameText}
	case metaNFProto:
		return term{"meta nfproto", familyText}
	case metaL4Proto:
		return term{"meta l4proto", protocolText}
	}
	return term{fmt.Sprintf("meta [%d]", key), hexText}
}

func ctTerm(key uint32) term {
	switch key {
	case ctState:
		return term{"ct state", stateText}
	case ctStatus:
		return term{"ct status", hostText}
	case ctMark:
		return term{"ct mark", hostText}
	case ctProtoDst:
		return term{"ct original proto-dst", bigText}
	}
	return term{fmt.Sprintf("ct [%d]", key), hexText}
}

func payloadTerm(a attrs) term {
	base, at, n := a.u32(2), a.u32(3), a.u32(4)
	switch {
	case base == baseTransport && at == 2 && n == 2:
		return term{"dport", bigText}
	case base == baseTransport && at == 0 && n == 2:
		return term{"sport", bigText}
	case base == baseTransport && at == 13 && n == 1:
		return term{"tcp flags", hexText}
	case base == baseTransport && at == 0 && n == 1:
		return term{"icmp type", bigText}
	case base == baseNetwork && at == 12 && n <= 4:
		return term{"ip saddr", prefixText(4)}
	case base == baseNetwork && at == 16 && n <= 4:
		return term{"ip daddr", prefixText(4)}
	case base == baseNetwork && at == 8 && n <= 16:
		return term{"ip6 saddr", prefixText(16)}
	case base == baseNetwork && at == 24 && n <= 16:
		return term{"ip6 daddr", prefixText(16)}
	case base == baseNetwork && at == 9 && n == 1:
		return term{"ip protocol", protocolText}
	}
	return term{fmt.Sprintf("@%d,%d,%d", base, at*8, n*8), hexText}
}

func fibTerm(a attrs) term {
	var by []string
	for i, name := range []string{"saddr", "daddr", "mark", "iif", "oif"} {
		if a.u32(3)&(1<<i) != 0 {
			by = append(by, name)
		}
	}
	words := "fib " + strings.Join(by, " . ")
	switch a.u32(2) {
	case 1:
		return term{words + " oif", hostDecimal}
	case 2:
		return term{words + " oifname", nameText}
	}
	return term{words + " type", typeText}
}

func (p *printer) cmp(a attrs) {
	t, b := p.term(a.u32(1)), a.value(3)
	words, found := strings.CutSuffix(t.words, " & "+t.value(b))
	op := [...]string{"", "!= ", "< ", "<= ", "> ", ">= "}[min(a.u32(2), 5)]
	switch {
	case a.u32(2) == 1 && t.words != "" && isZero(b) && strings.Contains(t.words, " & "):
		p.say("%s", strings.Replace(t.words, " & ", " ", 1)) // ct state & new != 0
	case found:
		p.say("%s %s%s", words, op, t.value(b))
	default:
		p.say("%s %s%s", t.words, op, t.value(b))
	}
}

func isZero(b []byte) bool { return strings.Trim(string(b), "\x00") == "" }

func (p *printer) immediate(a attrs) {
	if v, ok := a.verdict(2); ok {
		p.say("%s", v)
		return
	}
	b := a.value(2)
	p.regs[a.u32(1)] = term{immediateText(b), hexText}
}

func immediateText(b []byte) string {
	switch len(b) {
	case 2:
		return bigText(b)
	case 4, 16:
		return addressText(b)
	}
	return hexText(b)
}

// String returns the word of nft.
func (v verdict) String() string {
	switch v.code {
	case codeDrop:
		return "drop"
	case codeAccept:
		return "accept"
	case codeContinue:
		return "continue"
	case codeReturn:
		return "return"
	case codeJump:
		return "jump " + v.chain
	case codeGoto:
		return "goto " + v.chain
	}
	return fmt.Sprintf("[verdict %d]", v.code)
}

func (p *printer) lookup(a attrs) {
	name, t := a.text(1), p.term(a.u32(2))
	s := p.rule.Chain.Table.sets[name]
	words := "@" + name
	if s != nil && s.anonymous {
		words = s.text(t)
	}
	kind := ""
	switch {
	case !a.has(3):
	case a.u32(3) == 0:
		kind = "vmap "
	default:
		p.regs[a.u32(3)] = term{t.words + " map " + words, hexText}
		return
	}
	p.say("%s %s%s%s", t.words, kind, notIf(a.u32(5)&1 != 0), words)
}

// text lists the elements of an anonymous set whose keys are written as those of a term.
func (s *set) text(t term) string {
	var list []string
	for _, e := range s.elements {
		if len(list) == maxListed {
			list = append(list, "...")
			break
		}
		key := "*"
		if !e.catchAll {
			key = t.value(e.first)
			if last := t.value(e.last); last != key {
				key += "-" + last
			}
		}
		if e.verdict != nil {
			key += " : " + e.verdict.String()
		}
		list = append(list, key)
	}
	return "{ " + strings.Join(list, ", ") + " }"
}

func (p *printer) nat(x expr) {
	word, address, port := "redirect", uint16(0), uint16(1)
	if x.name == "nat" {
		word, address, port = "snat", 3, 5
		if x.attrs.u32(1) == 1 {
			word = "dnat"
		}
	}
	to := ""
	if address != 0 && x.attrs.has(address) {
		to = p.term(x.attrs.u32(address)).words
	}
	if x.attrs.has(port) {
		to += ":" + p.term(x.attrs.u32(port)).words
	}
	if to != "" {
		word += " to " + to
	}
	p.say("%s", word)
}
