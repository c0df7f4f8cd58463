package knock

import (
	"encoding/binary"
	"time"
)

// Knocks whose packets may come in any order and as often as the sender likes
// (sealed ones by lane, one-time codes) have no end that anybody could see: a
// burst that is repeated looks like another knock with the same token.

// echo is how long the token of a knock that was judged counts as the
// repetition of it: clients repeat their bursts within half a second. After
// that it is somebody's replay, and is to be told of.
const echo = int64(3 * time.Second)

// judged remembers the last tokens that a source was judged on, by some bytes
// that tell them apart.
type judged struct {
	tokens [4]struct {
		id uint64
		at int64
	}
	next int
}

func (j *judged) record(id uint64, now int64) {
	j.tokens[j.next%len(j.tokens)] = struct {
		id uint64
		at int64
	}{id, now}
	j.next++
}

// echoes reports whether a token repeats one that was judged just now.
func (j *judged) echoes(id uint64, now int64) bool {
	for _, t := range j.tokens[:min(j.next, len(j.tokens))] {
		if t.id == id && now-t.at <= echo {
			return true
		}
	}
	return false
}

// any reports whether anything was judged at all.
func (j *judged) any() bool { return j.next > 0 }

// idOf shortens a token to what judged takes.
func idOf(token []byte) uint64 { return binary.BigEndian.Uint64(token) }
