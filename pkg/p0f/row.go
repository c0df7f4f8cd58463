package p0f

import (
	"encoding/binary"

	"nftknock/pkg/packet"
)

// key holds every field of a SYN that is compared for equality, so that one
// operation compares them all: the quirks in the low bits, above them MSS,
// scale, length of the IP options and payload class.
type key uint64

const (
	keyMSS       = 28
	keyScale     = 44
	keyIPOptions = 52
	keyPayload   = 60
)

func newKey(quirks Quirk, mss uint16, scale, ipOptions uint8, payload bool) key {
	k := key(quirks) | key(mss)<<keyMSS | key(scale)<<keyScale | key(ipOptions)<<keyIPOptions
	if payload {
		k |= 1 << keyPayload
	}
	return k
}

// row is a signature made ready for comparing with packets of one IP version
// and of its layout.
type row struct {
	key key
	// Differences in care make a packet not fit, or, outside fatal, fit only
	// but for what networks change.
	care, fatal key
	window      Window
	fits        *fits // of WindowSegment
	old         *old  // of signatures in the older grammars
	id          uint16
	label       LabelID
	entry       uint16 // index of the signature it was made from
	multiple    uint16 // window.N of rules that want a multiple, else 0
	ttl         uint8
	distance    uint8 // the most hops that are believed
	conditions  Condition
	class       Class
	randomTTL   bool
	generic     bool
}

// layoutRow is a row and the layout it is for.
type layoutRow struct {
	layout Layout
	row    row
}

// rule is a signature in whatever grammar.
type rule interface {
	// rows gives what packets of an IP version are compared with; their label
	// and the like are still to be filled in.
	rows(six bool) []layoutRow
	String() string
}

func (s Signature) rows(six bool) []layoutRow {
	want := s.Quirks &^ quirksIPv6
	if six {
		want = s.Quirks &^ quirksIPv4
	}
	if s.Version == 4 && six || s.Version == 6 && !six {
		return nil
	}
	r := row{
		key:        newKey(want, uint16(max(s.MSS, 0)), uint8(max(s.Scale, 0)), s.IPOptions, s.Payload == PayloadSome),
		care:       s.care(),
		window:     s.Window,
		id:         s.ID,
		ttl:        s.TTL,
		distance:   MaxDistance,
		conditions: s.Conditions,
		randomTTL:  s.TTLForm == TTLRandom,
	}
	r.fatal = r.care &^ key(want&quirksLosable|quirksGainable&^want)
	if s.Window.Rule == WindowSegment {
		r.fits = newFits(s.Window.N)
	}
	if s.Window.Rule == WindowMSS || s.Window.Rule == WindowMTU {
		r.multiple = uint16(s.Window.N)
	}
	return []layoutRow{{s.Layout, r}}
}

// care is what a signature does not leave open.
func (s *Signature) care() key {
	care := ^key(0) &^ key(s.Optional|quirksOld)
	// Nearly every system sends flow labels today, and most tables are older:
	// their silence about it means nothing.
	if s.Quirks&QuirkFlow == 0 {
		care &^= key(QuirkFlow)
	}
	if s.MSS == Any {
		care &^= 0xffff << keyMSS
	}
	if s.Scale == Any {
		care &^= 0xff << keyScale
	}
	if s.Payload == PayloadAny {
		care &^= 1 << keyPayload
	}
	return care
}

// old is what only the older grammars ask.
type old struct {
	size      uint16 // total length; 0: any from sizeBig on
	mss       uint16 // unless 0, the MSS is a multiple of it
	scale     uint8  // unless 0, the scale is a multiple of it
	exclusive bool   // see multipleWindow2
}

const (
	sizeBig      = 100
	maxDistance2 = 40
)

func (o *old) fits(f *features) bool {
	switch {
	case o.size != 0 && f.size != o.size, o.size == 0 && f.size < sizeBig:
		return false
	case o.mss != 0 && f.mss%o.mss != 0, o.scale != 0 && f.scale%o.scale != 0:
		return false
	}
	return true
}

// fitness says how a packet fits a row.
type fitness uint8

const (
	unfit  fitness = iota
	far            // but for the TTL, and perhaps something that networks change
	fuzzy          // but for something that networks change
	fitted         // in everything
)

// near is a quick test that spares compare for most rows that want a multiple of
// a segment: the sizes of one lie between bounds.
func (r *row) near(f *features) bool {
	n := uint32(r.multiple)
	return n == 0 || uint32(f.window) >= n*f.least && uint32(f.window) <= n*f.most
}

// compare tests everything but IP version, layout and the fatal differences.
func (r *row) compare(f *features, p *packet.Packet) fitness {
	if r.randomTTL && f.ttl > r.ttl || !r.compareWindow(f) {
		return unfit
	}
	if r.conditions != 0 && !r.compareConditions(p) {
		return unfit
	}
	distance := int(r.ttl) - int(f.ttl)
	near := distance >= 0 && (distance <= int(r.distance) || r.randomTTL)
	switch {
	case r.old != nil && (!near || !r.old.fits(f)):
		return unfit
	case !near:
		return far
	case (f.key^r.key)&r.care != 0:
		return fuzzy
	}
	return fitted
}

func (r *row) compareWindow(f *features) bool {
	switch r.window.Rule {
	case WindowAny:
		return true
	case WindowValue:
		return uint32(f.window) == r.window.N
	case WindowModulo:
		return uint32(f.window)%r.window.N == 0
	case WindowSegment:
		return f.segmentWindow(r.window.N, r.fits)
	case WindowS, WindowT:
		return f.multipleWindow2(r.window, r.old.exclusive)
	default:
		return f.multipleWindow(r.window)
	}
}

// compareConditions is reached with IPv4 only: ParseSignature refuses
// conditions of any other.
func (r *row) compareConditions(p *packet.Packet) bool {
	a := p.Dst.As4()
	dst := binary.BigEndian.Uint32(a[:])
	if r.conditions&CondID != 0 && p.ID != r.id {
		return false
	}
	if r.conditions&CondIDMixed != 0 && p.ID != uint16(dst^uint32(p.DstPort)^p.TCP.Seq) {
		return false
	}
	return r.conditions&CondSeqDst == 0 || p.TCP.Seq == dst
}
