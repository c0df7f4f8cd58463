package knock

import (
	"math/bits"
	"time"

	"nftknock/pkg/packet"
)

// A knock that got its verdict is followed by its repetitions: the kernel sends each SYN
// again that nobody answers, and some clients send all packets a second time. The guard
// of a source and access has them begin nothing and complete nothing.

const (
	// secondRound is how long after a complete knock no packet of its source counts
	// for its access, for clients whose repetitions have other ports and sequence
	// numbers: nmap sends its second round 1.1 s after the first. The guard sets a
	// time only with a complete knock: a tripwire touched in somebody's name does not
	// make that one wait.
	secondRound = int64(3 * time.Second)
	// lastRetransmission is how long after a verdict the tags of its packets are
	// remembered. With its default of 6 tries and 4 linear ones more, Linux sends a
	// SYN for the last time after 69 s; BSDs do after 75 s.
	lastRetransmission = int64(90 * time.Second)
	// guardedKnocks is how many knocks of one source and access are remembered: who
	// knocks again soon still sends the retransmissions of the knock before.
	guardedKnocks = 4
)

// tag is a few bits of what a packet has in common with its repetitions alone: its
// source port, and the sequence number of a SYN, the ID of an IPv4 datagram, or the ID
// and the echo's numbers of an IPv4 echo request. One packet in 65,535 has that of
// another by chance, which costs its sender one knock. 0 is no tag: UDP and ICMP over
// IPv6 have none, nor has a packet whose number is 0.
type tag uint16

func (a *arrival) tag() tag {
	p := a.packet
	serial := uint64(p.ID)
	if p.Protocol == packet.TCP {
		serial = uint64(p.TCP.Seq)
	}
	if serial == 0 {
		return 0
	}
	numbers := uint64(p.SrcPort)
	if p.Protocol == packet.ICMP {
		numbers = uint64(p.ICMP.ID)<<16 | uint64(p.ICMP.Seq)
	}
	// Fibonacci hashing (Knuth, volume 3, section 6.4): the high bits of the product
	// depend on all bits of the factor.
	const golden = 0x9e3779b97f4a7c15
	return max(1, tag((serial<<32|numbers)*golden>>48))
}

// guardState holds what is remembered of the last knocks of a source at an access.
type guardState struct {
	complete instant // when the last complete knock got its verdict
	tags     []tag   // a ring of guardedKnocks rows, each by position; 0 where no packet came
	count    int     // of all rows that were added
}

func (s *guardState) reset() { s.complete, s.count = instant{}, 0 }

// row returns the i-th row that was added, or the place of the next one.
func (s *guardState) row(i int) []tag {
	n := len(s.tags) / guardedKnocks
	return s.tags[i%guardedKnocks*n:][:n]
}

// add remembers the packets of an attempt.
func (s *guardState) add(t *attempt) {
	row := s.row(s.count)
	clear(row)
	for seen := t.seen; seen != 0; seen &= seen - 1 {
		i := bits.TrailingZeros32(seen)
		row[i] = t.marks[i].tag
	}
	s.count++
}

// has reports whether a packet that is the element of some positions repeats one that
// is remembered.
func (s *guardState) has(positions uint32, g tag) bool {
	if g == 0 {
		return false
	}
	for i := range min(s.count, guardedKnocks) {
		row := s.row(i)
		for p := positions; p != 0; p &= p - 1 {
			if row[bits.TrailingZeros32(p)] == g {
				return true
			}
		}
	}
	return false
}

// copy makes s what other is, for sequences of another greatest length, which is no
// shorter than that of the access.
func (s *guardState) copy(other *guardState) {
	s.complete, s.count = other.complete, other.count
	for i := range guardedKnocks {
		row := s.row(i)
		clear(row)
		copy(row, other.row(i))
	}
}

// guards holds the guards of all sources. They are apart from the half-done knocks, so
// that they take no room from them.
type guards struct{ *table[guardState] }

// newGuards makes room for a number of guards, of sequences up to a length.
func newGuards(room, longest int) guards {
	return guards{newTable(room, func(s *guardState) {
		s.tags = make([]tag, guardedKnocks*longest)
	}, (*guardState).reset)}
}

// repeats reports whether a packet that is the element of some positions of an access
// may repeat one of a knock that got its verdict.
func (g guards) repeats(a *arrival, s step) bool {
	if g.len == 0 {
		return false
	}
	n := g.find(a.key(), s.access)
	if n == nil || a.now-n.since > lastRetransmission {
		return false
	}
	return n.state.complete.within(secondRound, a.now) || n.state.has(s.positions, a.tag())
}

// add remembers a knock whose verdict is given now, and whether it was complete.
func (g guards) add(now int64, k *pending[sharedState], complete bool) {
	n := g.find(k.key, k.group)
	if n != nil && now-n.since > lastRetransmission {
		g.remove(n) // expire has not reached it yet
		n = nil
	}
	switch {
	case n != nil:
		g.renew(n, now)
	default:
		if g.full() {
			g.remove(g.victim())
		}
		n = g.table.add(k.key, k.source, k.group, now)
	}
	for i := range k.state {
		if t := &k.state[i]; t.seen != 0 {
			n.state.add(t)
		}
	}
	if complete {
		n.state.complete = instant{now, true}
	}
}

// expire frees up to n guards whose time is over.
func (g guards) expire(now int64, n int) {
	for ; n > 0; n-- {
		oldest := g.oldest()
		if oldest == nil || now-oldest.since <= lastRetransmission {
			return
		}
		g.remove(oldest)
	}
}

// adoptFrom takes over the guards of another engine, whose accesses same maps to these,
// or to a negative number where there is none.
func (g guards) adoptFrom(old guards, same func(int) int) {
	for n := range old.all() {
		if to := same(n.group); to >= 0 {
			g.adopt(n, to).state.copy(&n.state)
		}
	}
}
