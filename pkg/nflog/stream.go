package nflog

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stream makes records of datagrams and keeps the count. It is what Reader
// and Fake have in common: everything but where datagrams come from.
type stream struct {
	groups []group
	rest   []byte // of the datagram in hand
	now    time.Time

	packets, datagrams, lost, overruns, malformed, foreign, refused atomic.Uint64
}

// group is one log group and the sequence number that its next packet has.
// The first has 0: the kernel counts from the group's binding, and we bound
// it. So what is lost before the first packet arrives is counted too.
type group struct {
	number uint16
	next   uint32
}

func (s *stream) init(numbers []uint16) {
	for _, n := range numbers {
		s.groups = append(s.groups, group{number: n})
	}
}

// load takes a datagram that was received at now. It replaces what is left
// of the one before.
func (s *stream) load(datagram []byte, now time.Time) {
	s.rest, s.now = datagram, now
	s.datagrams.Add(1)
}

// next gives the next packet of the datagram in hand; ok is false when there
// is none any more.
func (s *stream) next(rec *Record) (ok bool) {
	for len(s.rest) > 0 {
		m, rest, ok := cutMessage(s.rest)
		if !ok {
			s.malformed.Add(1)
			s.rest = nil
			return false
		}
		s.rest = rest
		switch m.kind {
		case packetType:
			if s.take(m.body, rec) {
				return true
			}
			s.malformed.Add(1)
		case unix.NLMSG_DONE:
			// Ends a batch.
			s.rest = nil
		case unix.NLMSG_ERROR:
			s.answer(m)
		case unix.NLMSG_NOOP:
		default:
			s.malformed.Add(1)
		}
	}
	return false
}

// take makes a record of a packet message.
func (s *stream) take(body []byte, rec *Record) (ok bool) {
	var p logged
	if !parsePacket(body, &p) || !s.count(&p) {
		return false
	}
	*rec = Record{
		Group:    p.group,
		InDevice: p.inDevice,
		Seq:      p.seq,
		Time:     stamp(s.now, p.unixNano),
		Payload:  p.payload,
	}
	s.packets.Add(1)
	return true
}

// count adds the gap in front of a packet to the loss; ok is false if the
// packet is of no group of ours. A packet without a number was logged while
// the kernel was binding the group, and is in front of number 0.
func (s *stream) count(p *logged) (ok bool) {
	for i := range s.groups {
		g := &s.groups[i]
		if g.number != p.group {
			continue
		}
		if p.sequenced {
			if gap := p.seq - g.next; gap != 0 {
				s.lost.Add(uint64(gap))
			}
			g.next = p.seq + 1
		}
		return true
	}
	return false
}

// answer looks at what the kernel says to a request for which we do not wait.
func (s *stream) answer(m message) {
	switch errno, ok := m.errno(); {
	case !ok:
		s.malformed.Add(1)
	case errno != 0:
		s.refused.Add(1)
	}
}

// Stats returns the counts since the source was opened.
func (s *stream) Stats() Stats {
	return Stats{
		Packets:   s.packets.Load(),
		Datagrams: s.datagrams.Load(),
		Lost:      s.lost.Load(),
		Overruns:  s.overruns.Load(),
		Malformed: s.malformed.Load(),
		Foreign:   s.foreign.Load(),
		Refused:   s.refused.Load(),
	}
}

// maxAge bounds how long ago a packet may have been logged: longer than that
// is a clock that was set, or no wall clock at all.
const maxAge = time.Minute

// stamp gives the time of a packet: the time of reading less the packet's
// age, so that packets read late, in a batch or after a pause of this
// process, keep their distances; and with a monotonic reading, so that they
// keep them when the wall clock is set.
//
// The age comes from the kernel's wall clock, in microseconds. Newer kernels
// give it with every packet on its way in (hooks prerouting, input, forward
// and ingress), older ones only where someone else had receive timestamps
// switched on. A packet without it has the time of reading.
func stamp(now time.Time, unixNano int64) time.Time {
	if unixNano == 0 {
		return now
	}
	age := time.Duration(now.UnixNano() - unixNano)
	if age <= 0 || age > maxAge {
		return now
	}
	return now.Add(-age)
}
