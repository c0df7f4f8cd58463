package p0f

import "nftknock/pkg/packet"

// maxTCPOptions is the room for options in a TCP header, in bytes.
const maxTCPOptions = 40

// sizes tells how many bytes the options take without padding, and whether
// that is all: an option without a letter may have any length.
func (s *Signature2) sizes() (bytes int, exact bool) {
	exact = true
	for i := range s.Layout.Len() {
		if size := optionSize(s.Layout.Kind(i)); size > 0 {
			bytes += size
		} else {
			bytes += 2
			exact = false
		}
	}
	return bytes, exact
}

// layouts are the layouts that a packet which fits may have; of a signature
// that asks for the impossible there are none.
func (s *Signature2) layouts() []Layout {
	bytes, exact := s.sizes()
	if s.PF && !exact {
		return nil // pf gives up on an option that it has no letter for
	}
	room := maxTCPOptions - bytes
	if room < 0 || s.Size != 0 && int(s.Size) < headers4+bytes {
		return nil
	}
	ends := s.Layout.n > 0 && s.Layout.Kind(s.Layout.Len()-1) == packet.OptionEnd
	l := s.Layout
	least, most := 0, room // of the bytes behind the options that are named
	if exact && s.Size != 0 && s.Quirks&(Quirk2IPOptions|Quirk2Data) == 0 {
		// Nothing else is in the packet, if we leave out those with IP options or
		// payload that pf does not remark on.
		least = int(s.Size) - headers4 - bytes
		most = least
	}
	switch {
	case least > room:
		return nil
	case ends:
		return l.padded(least, most)
	case s.PF && most > 0 && l.n < MaxOptions:
		// pf stops at an end of options and does not count it.
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

// rows gives what packets are compared with, which are none for IPv6 and for
// signatures that no SYN fits.
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
	r.fatal = r.care
	if !s.PF && s.DF {
		// A firewall may have cleared it; p0f then tries once more.
		r.fatal &^= key(QuirkDF)
	}
	var all []layoutRow
	for _, l := range s.layouts() {
		all = append(all, layoutRow{l, r})
	}
	return all
}

// quirks2 maps the quirks of version 2 to what is observed.
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

// quirks gives what must be there, and what is looked at.
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
