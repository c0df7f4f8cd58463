package knock

import (
	"math/bits"
	"slices"
	"time"

	"nftknock/pkg/packet"
)

// A knock that got its verdict is followed by its repetitions: the kernel sends each SYN
// again that nobody answers, and some clients send all packets a second time. The guard
// of a source and access has the kernel's begin nothing and complete nothing, and tells
// what may be a second round from other knocks.

const (
	// secondRound is how long after a complete knock another one of its source may be the
	// same once more, sent by a client whose repetitions have other ports and sequence
	// numbers: nmap sends its second round 1.1 s after the first, and 2.0 to 3.9 s
	// after it where it connects. Its packets begin nothing that outlasts this time.
	secondRound = int64(5 * time.Second)
	// soonest is how long after a complete knock neither a second round nor another knock
	// can be complete: the network has duplicated what comes before.
	soonest = int64(100 * time.Millisecond)
	// lastRetransmission is how long after a verdict the tags of its packets are
	// remembered. With its default of 6 tries and 4 linear ones more, Linux sends a
	// SYN for the last time after 69 s.
	lastRetransmission = int64(90 * time.Second)
	// guardedTags is how many tags of each position are remembered: the packets of a
	// second round are retransmitted too, and those of the knock before the last.
	guardedTags = 4
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
	// tags are the last of each position, the youngest first; 0 for none.
	tags [][guardedTags]tag
	// round is what has come since then: a second round, or another knock.
	round attempt
}

func (s *guardState) reset() {
	s.complete = instant{}
	s.round.seen = 0
	clear(s.tags)
}

// add remembers the tag of a packet in a position.
func (s *guardState) add(position int, g tag) {
	if t := &s.tags[position]; g != 0 && !slices.Contains(t[:], g) {
		copy(t[1:], t[:])
		t[0] = g
	}
}

// addAttempt remembers the packets of an attempt.
func (s *guardState) addAttempt(t *attempt) {
	for seen := t.seen; seen != 0; seen &= seen - 1 {
		i := bits.TrailingZeros32(seen)
		s.add(i, t.marks[i].tag)
	}
}

// has reports whether a packet that is the element of some positions repeats one that
// is remembered.
func (s *guardState) has(positions uint32, g tag) bool {
	if g == 0 {
		return false
	}
	for ; positions != 0; positions &= positions - 1 {
		if slices.Contains(s.tags[bits.TrailingZeros32(positions)][:], g) {
			return true
		}
	}
	return false
}

// copy makes s what other is, but for its round. The greatest length of their sequences
// may differ.
func (s *guardState) copy(other *guardState) {
	s.complete = other.complete
	copy(s.tags, other.tags)
}

// guards holds the guards of all sources. They are apart from the half-done knocks, so
// that they take no room from them.
type guards struct{ *table[guardState] }

// newGuards makes room for a number of guards, of sequences up to a length.
func newGuards(room, longest int) guards {
	return guards{newTable(room, func(s *guardState) {
		s.tags = make([][guardedTags]tag, longest)
		s.round.marks = make([]mark, longest)
	}, (*guardState).reset)}
}

// of returns what is remembered of the last knocks of a packet's sender at an access, or
// nil.
func (g guards) of(a *arrival, access int) *pending[guardState] {
	if g.len == 0 {
		return nil
	}
	n := g.find(a.key(), access)
	if n == nil || a.now-n.since > lastRetransmission {
		return nil
	}
	return n
}

// add remembers a knock whose verdict is given now, and whether it was complete.
func (g guards) add(now int64, k *pending[sharedState], complete bool) {
	n := g.find(k.key, k.group)
	if n != nil && now-n.since > lastRetransmission {
		g.remove(n) // expire has not reached it yet
		n = nil
	}
	if n != nil {
		g.renew(n, now)
	} else {
		if g.full() {
			g.remove(g.victim())
		}
		n = g.table.add(k.key, k.source, k.group, now)
	}
	for i := range k.state {
		if t := &k.state[i]; t.seen != 0 {
			n.state.addAttempt(t)
		}
	}
	if complete {
		n.state.complete = instant{now, true}
		n.state.round.seen = 0
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
