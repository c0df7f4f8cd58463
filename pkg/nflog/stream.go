package nflog

import (
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stream parses datagrams into records and counts them. It is the part that Reader and
// Fake share.
type stream struct {
	groups []group
	rest   []byte    // of the present datagram, not yet parsed
	now    time.Time // when that was received

	packets, datagrams, lost, overruns, malformed, foreign, refused atomic.Uint64
}

// group is a log group and the sequence number that its next packet should have. It
// begins at 0, as the kernel's does when the group is bound. So packets that are lost
// before the first one arrives are counted too.
type group struct {
	number uint16
	next   uint32
}

func (s *stream) init(numbers []uint16) {
	for _, n := range numbers {
		s.groups = append(s.groups, group{number: n})
	}
}

// load sets the datagram to parse, received at now. It discards the rest of the
// previous one.
func (s *stream) load(datagram []byte, now time.Time) {
	s.rest, s.now = datagram, now
	s.datagrams.Add(1)
}

// next fills rec with the next packet of the present datagram; ok is false at its end.
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
			// __nfulnl_send appends it to a batch of several packets.
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

// take parses the body of a packet message into rec.
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

// count adds the gap before a packet to the number of lost packets; ok is false if the
// packet's group is not one of s.groups.
func (s *stream) count(p *logged) (ok bool) {
	for i := range s.groups {
		g := &s.groups[i]
		if g.number != p.group {
			continue
		}
		// The kernel sets the flags of a new group last (nfulnl_recv_config), so a
		// packet that is logged meanwhile has no number.
		if p.sequenced {
			// Numbers have 32 bits and wrap around, and so does the difference.
			if gap := p.seq - g.next; gap != 0 {
				s.lost.Add(uint64(gap))
			}
			g.next = p.seq + 1
		}
		return true
	}
	return false
}

// answer counts the kernel's answer to a request of batch.
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

// maxAge is the largest age of a packet that is believed. A larger difference means
// that the wall clock was set in between, or was never set.
const maxAge = time.Minute

// stamp returns the time of a packet: now, the time of reading, minus the packet's age.
// So the differences between packets are right even if they are read late, in a batch
// or after a pause of this process. The result has now's monotonic clock reading, so
// that they are right when the wall clock is set, too.
//
// unixNano is the kernel's wall clock. Newer kernels send it with each packet that
// arrives (hooks prerouting, input, forward and ingress), older ones only if another
// program has turned on receive timestamps. Without it the result is now.
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
