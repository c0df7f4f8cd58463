package p0f

import "nftknock/pkg/packet"

// Observe2 returns the signature of one packet for a file of p0f version 2, or,
// with pf set, for pf.os: "S44:64:1:60:M*,S,T,N,W7". The TTL is the most likely
// initial one. The MSS is left open, since it depends on the network. ok is false
// if the packet is not a pure SYN over IPv4.
func Observe2(p *packet.Packet, pf bool) (s Signature2, ok bool) {
	if !p.PureSYN() || p.Version != 4 {
		return Signature2{}, false
	}
	var f features
	layout := f.read(p)
	s = Signature2{
		PF:     pf,
		Window: f.observedWindow2(),
		TTL:    guessInitial(f.ttl),
		DF:     f.quirks&QuirkDF != 0,
		Size:   f.size,
		Scale:  int16(f.scale),
		TSZero: f.quirks&QuirkTSZero != 0,
		Layout: layout,
	}
	s.Layout.pad = 0 // the old grammars do not count padding
	if s.Layout.contains(packet.OptionMSS) {
		s.MSS = Any
	}
	if pf {
		return s, true
	}
	for two, three := range quirks2 {
		if f.quirks&three != 0 {
			s.Quirks |= two
		}
	}
	if f.payload {
		s.Quirks |= Quirk2Data
	}
	return s, true
}
