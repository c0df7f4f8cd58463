package p0f

import "nftknock/pkg/packet"

// maxTCPOptions is the largest length of the options of a TCP header, in bytes.
const maxTCPOptions = 40

// sizes returns how many bytes the options take without padding. exact is false if
// they may take more: an option without a letter may have any length.
func (s *Signature2) sizes() (bytes int, exact bool) {
	exact = true
	for i := range s.Layout.Len() {
		if size := optionSize(s.Layout.Kind(i)); size > 0 {
			bytes += size
		} else {
			bytes += 2 // kind and length are the least
			exact = false
		}
	}
	return bytes, exact
}

// layouts returns the layouts that a packet may have that fits the signature. There
// are none if no packet can fit.
func (s *Signature2) layouts() []Layout {
	bytes, exact := s.sizes()
	if s.PF && !exact {
		return nil // pf does not match a packet with an option that it has no letter for
	}
	room := maxTCPOptions - bytes
	if room < 0 || s.Size != 0 && int(s.Size) < headers4+bytes {
		return nil
	}
	ends := s.Layout.n > 0 && s.Layout.Kind(s.Layout.Len()-1) == packet.OptionEnd
	l := s.Layout
	least, most := 0, room // number of bytes after the options that are named
	if exact && s.Size != 0 && s.Quirks&(Quirk2IPOptions|Quirk2Data) == 0 {
		// The total length is known and nothing but options can fill it. (pf would
		// also accept IP options or payload; such packets are left out.)
		least = int(s.Size) - headers4 - bytes
		most = least
	}
	switch {
	case least > room:
		return nil
	case ends:
		return l.padded(least, most)
	case s.PF && most > 0 && l.n < MaxOptions:
		// pf stops at an end of options and does not record it, so a signature
		// fits with and without one.
		ended := l
		ended.add(uint8(packet.OptionEnd))
		all := ended.padded(max(least-1, 0), most-1)
		if least == 0 {
			all = append(all, l)
		}
		return all
	}
	return []Layout{l}
}

// rows returns the rows for one IP version: none for IPv6, and none if no SYN can
// fit.
func (s Signature2) rows(six bool) []layoutRow {
	if six || s.Quirks&Quirk2Reset != 0 {
		return nil
	}
	r := row{
		window:    s.Window,
		ttl:       s.TTL,
		distance:  maxDistance2,
		randomTTL: s.AnyTTL,
		old:       &old{size: s.Size, exclusive: !s.PF},
	}
	quirks, care := s.quirks()
	mss, scale := uint16(max(s.MSS, 0)), uint8(max(s.Scale, 0))
	r.key = newKey(quirks, mss, scale, 0, s.Quirks&Quirk2Data != 0)
	r.care = key(care)
	if !s.PF {
		r.care |= 1 << keyPayload
	}
	if s.MSSModulo {
		r.old.mss = mss
	} else if s.MSS != Any {
		r.care |= 0xffff << keyMSS
	}
	if s.ScaleModulo {
		r.old.scale = scale
	} else if s.Scale != Any {
		r.care |= 0xff << keyScale
	}
	r.fatal = r.care // all bits, except for DF below
	if !s.PF && s.DF {
		// A firewall may have cleared DF. p0f compares once more without it.
		r.fatal &^= key(QuirkDF)
	}
	var all []layoutRow
	for _, l := range s.layouts() {
		all = append(all, layoutRow{l, r})
	}
	return all
}

// quirks2 maps the quirks of version 2 to those of features.quirks.
var quirks2 = map[Quirk2]Quirk{
	Quirk2Padding:   quirkPadded,
	Quirk2IDZero:    quirkIDNull,
	Quirk2IPOptions: quirkIPOptions,
	Quirk2Urgent:    quirkUrgent,
	Quirk2Reserved:  quirkOffset,
	Quirk2Ack:       QuirkAckNonZero,
	Quirk2TSPeer:    QuirkTSPeer,
	Quirk2Flags:     quirkFlags,
	Quirk2Bad:       QuirkBad,
	Quirk2SeqAck:    quirkSeqAck,
	Quirk2SeqZero:   QuirkSeqZero,
}

// quirks returns the quirks that a packet must have, and those that are compared.
func (s *Signature2) quirks() (want, care Quirk) {
	care = QuirkDF | QuirkTSZero
	if s.DF {
		want |= QuirkDF
	}
	if s.TSZero {
		want |= QuirkTSZero
	}
	if s.PF {
		return want, care
	}
	for two, three := range quirks2 {
		care |= three
		if s.Quirks&two != 0 {
			want |= three
		}
	}
	return want, care
}
