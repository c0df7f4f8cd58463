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
	keyMSS       = 24
	keyScale     = 40
	keyIPOptions = 48
	keyPayload   = 56
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
	id          uint16
	label       LabelID
	entry       uint16 // index of the signature it was made from
	ttl         uint8
	conditions  Condition
	class       Class
	randomTTL   bool
	generic     bool
}

func newRow(index int, e entry, class Class, six bool) row {
	s := &e.signature
	want := s.Quirks &^ quirksIPv6
	if six {
		want = s.Quirks &^ quirksIPv4
	}
	r := row{
		key:        newKey(want, uint16(max(s.MSS, 0)), uint8(max(s.Scale, 0)), s.IPOptions, s.Payload == PayloadSome),
		care:       s.care(),
		window:     s.Window,
		id:         s.ID,
		label:      e.label,
		entry:      uint16(index),
		ttl:        s.TTL,
		conditions: s.Conditions,
		class:      class,
		randomTTL:  s.TTLForm == TTLRandom,
		generic:    e.generic,
	}
	r.fatal = r.care &^ key(want&quirksLosable|quirksGainable&^want)
	if s.Window.Rule == WindowSegment {
		r.fits = newFits(s.Window.N)
	}
	return r
}

// care is what a signature does not leave open.
func (s *Signature) care() key {
	care := ^key(0) &^ key(s.Optional)
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

// fitness says how a packet fits a row.
type fitness uint8

const (
	unfit  fitness = iota
	fuzzy          // but for something that networks change
	fitted         // in everything
)

// compare tests everything but IP version and layout.
func (r *row) compare(f *features, p *packet.Packet) fitness {
	differences := f.key ^ r.key
	if differences&r.fatal != 0 || r.randomTTL && f.ttl > r.ttl || !r.compareWindow(f) {
		return unfit
	}
	if r.conditions != 0 && !r.compareConditions(p) {
		return unfit
	}
	distance := int(r.ttl) - int(f.ttl)
	if differences&r.care != 0 || distance < 0 || distance > MaxDistance && !r.randomTTL {
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
