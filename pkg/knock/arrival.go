package knock

import (
	"net/netip"
	"time"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// moment is when an engine decides something, on two clocks, with what it decides.
type moment struct {
	time     time.Time
	now      int64 // the same on the engine's clock: nanoseconds since its epoch
	verdicts []Verdict
}

// add keeps a verdict of this moment.
func (m *moment) add(v Verdict) {
	v.Time = m.time
	m.verdicts = append(m.verdicts, v)
}

// timeOf turns a time of the engine's clock into one of the calendar.
func (m *moment) timeOf(at int64) time.Time { return m.time.Add(time.Duration(at - m.now)) }

// arrival is a packet that may be part of a knock, and the moment it came.
type arrival struct {
	moment
	packet  *packet.Packet
	element port.Range // what the packet is to a knock: its protocol and port
	// payloadOnly: to other knocks than SPA the packet is nothing, so that element only
	// says which SPA reads it.
	payloadOnly bool

	db      *p0f.Database // nil: no packet has a fingerprint
	match   p0f.Match     // of the packet; valid once matched is set
	matched bool
}

// key returns the key of the packet's sender.
func (a *arrival) key() key { return sourceKey(a.packet.Src) }

// fingerprint identifies the system behind a SYN; other packets have none. It
// searches the database once per packet, and only if a knock needs it.
func (a *arrival) fingerprint() p0f.Match {
	if !a.matched {
		a.matched, a.match = true, noSystem
		if a.db != nil && a.packet.Protocol == packet.TCP {
			a.match = a.db.Match(a.packet)
		}
	}
	return a.match
}

// stamp returns what is remembered of the packet.
func (a *arrival) stamp() stamp {
	return stamp{at: a.now, os: a.fingerprint(), port: a.packet.SrcPort, syn: a.packet.Protocol == packet.TCP}
}

// part returns what is remembered of the packet where its repetitions do not count.
func (a *arrival) part(value byte) part {
	p := part{stamp: a.stamp(), value: value, serial: uint32(a.packet.ID)}
	if p.syn {
		p.serial = a.packet.TCP.Seq
	}
	return p
}

// stamp is what is remembered of a packet that carried a part of a knock.
type stamp struct {
	at   int64 // on the engine's clock
	os   p0f.Match
	port uint16 // its source port
	syn  bool
}

// part is a packet that carried a byte of a knock, or two digits.
type part struct {
	stamp
	value byte
	// serial distinguishes a packet from its repetition: the sequence number of
	// a SYN, the ID of an IPv4 datagram. 0 is no serial.
	serial uint32
}

// repeats reports whether a packet is a repetition of another, sent again by its sender
// or duplicated on the way. A packet without a serial never is.
func (p *part) repeats(o *part) bool {
	return p.serial != 0 && p.value == o.value && p.syn == o.syn && p.port == o.port && p.serial == o.serial
}

// noSystem is the fingerprint of a packet that is no SYN, and of a SYN whose
// label a new database numbers otherwise.
var noSystem p0f.Match

// read sets what a packet is to knocks, and reports whether it can be part of one.
func (a *arrival) read(p *packet.Packet) bool {
	a.packet, a.payloadOnly = p, false
	switch {
	case p.PureSYN(), p.Protocol == packet.UDP:
		a.element = port.Single(p.Protocol, p.DstPort)
	case p.EchoRequest():
		a.element = port.Echo
	case p.Protocol == packet.ICMP:
		// The client of fwknop sends an echo reply, and any other type on demand.
		a.element, a.payloadOnly = port.Echo, true
	default:
		return false
	}
	return true
}

// sourceKey returns the key of an address.
func sourceKey(a netip.Addr) key { return key(a.As16()) }
