package knock

import (
	"encoding/binary"
	"time"
)

// Knocks whose packets may come in any order or may be repeated as a whole (all but
// Shared and SPA) have no visible end: a repeated burst looks like another knock
// with the same token.

// repeatTime is how long a token that comes again counts as the repetition of a
// knock: clients repeat their bursts within half a second. A token that comes
// again later is a replay, and gets a verdict of its own.
const repeatTime = int64(3 * time.Second)

// recentTokens remembers the last tokens of a source that a verdict was given on,
// by some bytes that distinguish them. Its zero value is empty.
type recentTokens struct {
	tokens [4]recentToken // a ring
	count  int            // of all that were added
}

type recentToken struct {
	id uint64
	at int64 // of the verdict
}

// add remembers a token.
func (r *recentTokens) add(id uint64, now int64) {
	r.tokens[r.count%len(r.tokens)] = recentToken{id, now}
	r.count++
}

// repeats reports whether a token whose first packet came at a time and whose last
// comes now is one of these once more, or still the same one: a verdict on it is
// not given again.
func (r *recentTokens) repeats(id uint64, first, now int64) bool {
	for _, t := range r.tokens[:min(r.count, len(r.tokens))] {
		// A first packet from before the verdict: not all of it came again.
		if t.id == id && (first <= t.at || now-t.at <= repeatTime) {
			return true
		}
	}
	return false
}

// begunBefore reports whether a token whose first packet came at a time is one of these
// once more, where old packets stay beside new ones. NB: unlike in repeats the last
// packet does not decide. One of the next knock may have the packets of a repetition
// tried once more, long after it.
func (r *recentTokens) begunBefore(id uint64, first int64) bool {
	return r.repeats(id, first-repeatTime, first)
}

// mayRepeat reports whether a packet of a time may be part of the last token or of
// its repetition, so that it says nothing about another knock.
func (r *recentTokens) mayRepeat(at int64) bool {
	if r.count == 0 {
		return false
	}
	last := &r.tokens[(r.count-1)%len(r.tokens)]
	return at-last.at <= repeatTime
}

// tokenID shortens a token to what recentTokens takes.
func tokenID(token []byte) uint64 { return binary.BigEndian.Uint64(token) }

// instant is a time that may not have been yet. Its zero value is never.
type instant struct {
	at  int64
	set bool
}

// within reports whether the instant was at most d before now.
func (i instant) within(d, now int64) bool { return i.set && now-i.at <= d }
