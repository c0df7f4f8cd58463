package p0f

import "nftknock/pkg/packet"

// Observe2 gives the signature of one packet as p0f version 2 would write it
// into a file, or, with pf set, as it would stand in pf.os:
// "S44:64:1:60:M*,S,T,N,W7". The TTL is the initial one it most likely had,
// and the MSS is left open, being the network's. ok is false if the packet is
// no pure SYN over IPv4.
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
	s.Layout.pad = 0
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
