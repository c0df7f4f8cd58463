package p0f

import (
	"encoding/binary"

	"nftknock/pkg/packet"
)

// key packs all fields of a SYN that are compared for equality, so that one
// exclusive or compares them all: the quirks in the low bits, then MSS, scale,
// length of the IP options, and whether there is payload.
type key uint64

// Positions of the fields in a key, in bits.
const (
	keyMSS       = 28
	keyScale     = 44
	keyIPOptions = 52
	keyPayload   = 60
)

// newKey packs a key. It has one of its parameters: for each field of a key, since a
// struct would only be a second form of the same.
func newKey(quirks Quirk, mss uint16, scale, ipOptions uint8, payload bool) key {
	k := key(quirks) | key(mss)<<keyMSS | key(scale)<<keyScale | key(ipOptions)<<keyIPOptions
	if payload {
		k |= 1 << keyPayload
	}
	return k
}

// row is a signature in the form that packets of one IP version and one layout are
// compared with.
type row struct {
	key key
	// care has the bits of key that are compared. A packet that differs in a bit
	// of fatal does not fit; one that differs in another bit of care fits with
	// confidence Low.
	care, fatal key
	window      Window
	fits        *fits // for WindowSegment, else nil
	old         *old  // for signatures in the older grammars, else nil
	id          uint16
	label       LabelID
	entry       uint16 // index of the signature in Database.entries
	multiple    uint16 // window.N if the rule wants a multiple, else 0
	ttl         uint8
	distance    uint8 // the largest distance at which the TTL fits
	conditions  Condition
	class       Class
	randomTTL   bool
	generic     bool
	// weighed: the row is of a table for which weigh.go applies; contested: see
	// contestedBy.
	weighed, contested bool
	family             uint8 // of the label; equal ones have equal numbers
}

// layoutRow is a row with its layout.
type layoutRow struct {
	layout Layout
	row    row
}

// rule is a signature in one of the grammars.
type rule interface {
	// rows returns the rows for one IP version. The caller sets entry, label,
	// class and generic.
	rows(six bool) []layoutRow
	String() string
}

func (s Signature) rows(six bool) []layoutRow {
	// A signature for both versions may name quirks that only one of them has.
	want := s.Quirks &^ quirksIPv6
	if six {
		want = s.Quirks &^ quirksIPv4
	}
	if s.Version == 4 && six || s.Version == 6 && !six {
		return nil
	}
	// Any is negative. Its bits are not in care, so that their value in key is of no use.
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
	// A quirk may be lost if the signature wants it, and gained if it does not.
	r.fatal = r.care &^ key(want&quirksLosable|quirksGainable&^want)
	if s.Window.Rule == WindowSegment {
		r.fits = newFits(s.Window.N)
	}
	if s.Window.Rule == WindowMSS || s.Window.Rule == WindowMTU {
		r.multiple = uint16(s.Window.N)
	}
	return []layoutRow{{s.Layout, r}}
}

// care returns the bits of the key that a signature does not leave open.
func (s *Signature) care() key {
	care := ^key(0) &^ key(s.Optional|quirksOld)
	// Nearly every system sets the flow label today (RFC 6437), but most tables
	// are older, so a signature without "flow" leaves it open.
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

// old holds the conditions that only the older grammars have.
type old struct {
	size      uint16 // total length in bytes; 0: any of at least sizeBig
	mss       uint16 // unless 0, the MSS must be a multiple of it
	scale     uint8  // unless 0, the scale must be a multiple of it
	exclusive bool   // see multipleWindow2
}

const (
	sizeBig      = 100 // PACKET_BIG of p0f version 2
	maxDistance2 = 40  // MAXDIST of p0f version 2
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
	far            // fits except for the TTL, and perhaps for bits outside fatal
	fuzzy          // fits except for bits outside fatal
	fitted         // fits in all fields
)

// near is a quick test that rules out most rows whose window is a multiple of a
// segment, before compare divides: every size of a segment is between f.least and
// f.most.
func (r *row) near(f *features) bool {
	n := uint32(r.multiple)
	return n == 0 || uint32(f.window) >= n*f.least && uint32(f.window) <= n*f.most
}

// compare tests everything except for IP version, layout and the fatal bits of the
// key, which the caller has compared.
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

// compareConditions reports whether the packet meets the conditions of the row.
func (r *row) compareConditions(p *packet.Packet) bool {
	// As4 panics for IPv6, but ParseSignature refuses conditions in signatures that
	// are not for IPv4 alone.
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
