package kernlog

import (
	"encoding/hex"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"nftknock/pkg/packet"
)

// reader reads the words of a line one after the other. After the first error every
// method returns the zero value.
type reader struct {
	rest string // not yet read
	err  error  // the first error
}

func (r *reader) fail(field, format string, args ...any) {
	if r.err == nil {
		r.err = &ParseError{field, fmt.Sprintf(format, args...)}
	}
}

// peek returns the next word, "" at the end of the line or after an error.
func (r *reader) peek() string {
	if r.err != nil {
		return ""
	}
	r.rest = strings.TrimLeft(r.rest, " ")
	word, _, _ := strings.Cut(r.rest, " ")
	return word
}

func (r *reader) next() string {
	word := r.peek()
	r.rest = r.rest[len(word):]
	return word
}

// flag skips the next word if it is this one, and reports whether it was.
func (r *reader) flag(word string) bool {
	if r.peek() != word {
		return false
	}
	r.next()
	return true
}

// value reads the value of the next field, which must have this name.
func (r *reader) value(name string) string {
	word := r.next()
	value, ok := strings.CutPrefix(word, name+"=")
	switch {
	case ok:
		return value
	case word == "":
		r.fail(name, "the line ends before it")
	default:
		r.fail(name, "found %.40q instead", word)
	}
	return ""
}

func (r *reader) number(name string, most uint64) uint64 {
	text := r.value(name)
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > most {
		r.fail(name, "%.40q is no number from 0 to %d", text, most)
		return 0
	}
	return n
}

// bits reads a byte in hexadecimal. It fails if a bit is set that is not in mask.
func (r *reader) bits(name string, mask uint8) uint8 {
	text := r.value(name)
	digits, ok := strings.CutPrefix(text, "0x")
	n, err := strconv.ParseUint(digits, 16, 8)
	if !ok || err != nil || uint8(n)&^mask != 0 {
		r.fail(name, "%.40q is not made of the bits of 0x%02x", text, mask)
		return 0
	}
	return uint8(n)
}

func (r *reader) address(name string) netip.Addr {
	text := r.value(name)
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" {
		r.fail(name, "%.40q is no address", text)
		return netip.Addr{}
	}
	return a
}

// options reads the options of an IP or a TCP header, "OPT (020405B4)". It returns nil
// if OPT is not the next word.
func (r *reader) options() []byte {
	// Both headers have 20 to 60 bytes, in words of 4.
	const most = 60 - 20
	if !r.flag("OPT") {
		return nil
	}
	word := r.next()
	digits, opened := strings.CutPrefix(word, "(")
	digits, closed := strings.CutSuffix(digits, ")")
	b, err := hex.DecodeString(digits)
	switch {
	case word == "(TRUNCATED)":
		r.fail("OPT", "the packet was cut inside its options")
	case !opened || !closed || err != nil:
		r.fail("OPT", "%.100q is no list of bytes in parentheses", word)
	case len(b) == 0 || len(b) > most || len(b)%4 != 0:
		r.fail("OPT", "%d bytes do not fit into a header", len(b))
	default:
		return b
	}
	return nil
}

// network reads the IP header, up to the word PROTO=.
func (r *reader) network(p *packet.Packet) (fragment bool) {
	p.Src = r.address("SRC")
	p.Dst = r.address("DST")
	if r.err == nil && p.Src.Is4() != p.Dst.Is4() {
		r.fail("DST", "%v is not of the same family as SRC, %v", p.Dst, p.Src)
	}
	// The length exceeds 65535 where segments were merged (BIG TCP; iph_totlen in
	// include/linux/ip.h).
	p.Length = int(r.number("LEN", math.MaxInt32))
	if p.Src.Is4() {
		return r.ipv4(p)
	}
	return r.ipv6(p)
}

func (r *reader) ipv4(p *packet.Packet) (fragment bool) {
	// IPTOS_TOS_MASK and IPTOS_PREC_MASK of include/uapi/linux/ip.h.
	const tosMask, precedenceMask = 0x1e, 0xe0
	p.Version = 4
	p.TOS = r.bits("TOS", tosMask) | r.bits("PREC", precedenceMask)
	p.TTL = uint8(r.number("TTL", math.MaxUint8))
	p.ID = uint16(r.number("ID", math.MaxUint16))
	p.EvilBit = r.flag("CE") // IP_CE (include/net/ip.h) is the reserved flag
	p.DontFragment = r.flag("DF")
	fragment = r.flag("MF")
	if strings.HasPrefix(r.peek(), "FRAG:") {
		r.next()
		fragment = true
	}
	p.IPOptions = r.options()
	return fragment
}

func (r *reader) ipv6(p *packet.Packet) (fragment bool) {
	const mostLabel = 1<<20 - 1
	p.Version = 6
	p.TOS = uint8(r.number("TC", math.MaxUint8))
	p.TTL = uint8(r.number("HOPLIMIT", math.MaxUint8))
	p.FlowLabel = uint32(r.number("FLOWLBL", mostLabel))
	return r.extensions(p)
}

// extensions reads the IPv6 extension headers in a line, up to PROTO=. If IP options
// are logged there is "OPT ( ) " per header. A fragment header adds "FRAG:0
// ID:00001234 ", inside those parentheses or without them. The line has no PROTO= if
// the kernel could not read a header.
func (r *reader) extensions(p *packet.Packet) (fragment bool) {
	const most = 8  // as in packet.Decode
	inside := false // between the parentheses of a header
	for r.err == nil {
		word := r.peek()
		switch {
		case strings.HasPrefix(word, "PROTO="):
			return fragment
		case word == "", word == "ESP", word == "Unknown":
			r.err = ErrNoTCP
		case word == "OPT", strings.HasPrefix(word, "ID:"), word == "AH", strings.HasPrefix(word, "SPI="):
		case word == "(":
			inside = true
			p.Extensions++
		case word == ")":
			inside = false
		case strings.HasPrefix(word, "FRAG:"):
			if !inside { // else "(" has counted the header
				p.Extensions++
			}
			fragment = fragment || word != "FRAG:0"
		case word == "INCOMPLETE": // more fragments
			fragment = true
		default:
			r.fail("PROTO", "unexpected %.40q before it", word)
		}
		if p.Extensions > most {
			r.err = packet.ErrExtensions
		}
		r.next()
	}
	return fragment
}

// flags are the control bits in the order in which the kernel prints them. Kernels
// without AE print it only as a reserved bit.
var flags = []struct {
	word string
	bit  packet.TCPFlags
}{
	{"AE", packet.AE}, {"CWR", packet.CWR}, {"ECE", packet.ECE},
	{"URG", packet.URG}, {"ACK", packet.ACK}, {"PSH", packet.PSH},
	{"RST", packet.RST}, {"SYN", packet.SYN}, {"FIN", packet.FIN},
}

func (r *reader) tcp(p *packet.Packet) {
	if r.peek() == "INCOMPLETE" {
		r.fail("PROTO", "the packet was cut inside its TCP header")
	}
	p.Protocol = packet.TCP
	p.SrcPort = uint16(r.number("SPT", math.MaxUint16))
	p.DstPort = uint16(r.number("DPT", math.MaxUint16))
	t := &p.TCP
	t.Seq = 1 // if not logged: 0 would be a quirk
	if strings.HasPrefix(r.peek(), "SEQ=") {
		t.Seq = uint32(r.number("SEQ", math.MaxUint32))
		t.Ack = uint32(r.number("ACK", math.MaxUint32))
	}
	t.Window = uint16(r.number("WINDOW", math.MaxUint16))
	// The kernel prints TCP_RESERVED_BITS >> 22: the four bits after the data offset,
	// shifted left by 2. The lowest of them is AE.
	const reservedMask = 0x3c
	reserved := r.bits("RES", reservedMask) >> 2
	t.Reserved = reserved >> 1
	if reserved&1 != 0 {
		t.Flags |= packet.AE
	}
	for _, f := range flags {
		if r.flag(f.word) {
			t.Flags |= f.bit
		}
	}
	t.Urgent = uint16(r.number("URGP", math.MaxUint16))
	t.Options = r.options()
}
