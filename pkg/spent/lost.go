package spent

import (
	"errors"
	"time"
)

// Bounds of the tokens that are kept in memory: in all, and per access, so that who
// knocks for one does not use up the room of others.
const (
	maxLost          = 1 << 16
	maxLostPerAccess = 1 << 10
)

// errLost: the knock may be one that could not be recorded before.
var errLost = errors.New("the disk failed for too many knocks of this access to remember each: its older knocks are refused")

// lost are tokens that could not be recorded. They must not be honoured when the
// disk works again. Where there is no room for one more, a time takes its place:
// tokens of its access that expire no later are refused, as those that expire no
// later than the horizon of a Store are. The zero value is empty.
type lost struct {
	shares map[string]*lostShare // by access; never empty ones
	total  int
}

// lostShare is what was lost of an access.
type lostShare struct {
	tokens map[Token]time.Time // when they expire; zero: never
	until  time.Time           // the latest expiry for which there was no room
	never  bool                // there was no room for a token that never expires
}

// add remembers the token of an entry, if it has one.
func (l *lost) add(e Entry, now time.Time) {
	if e.Token == nil {
		return
	}
	if l.shares == nil {
		l.shares = make(map[string]*lostShare)
	}
	if l.full(e.Access) {
		l.forget(now)
	}
	s := l.shares[e.Access]
	if s == nil {
		s = &lostShare{tokens: make(map[Token]time.Time)}
		l.shares[e.Access] = s
	}
	switch {
	case !l.full(e.Access):
		l.total -= len(s.tokens)
		s.tokens[*e.Token] = e.Expires
		l.total += len(s.tokens)
	case e.Expires.IsZero():
		s.never = true
	case e.Expires.After(s.until):
		s.until = e.Expires
	}
}

// full reports whether there is no room for another token of an access.
func (l *lost) full(access string) bool {
	s := l.shares[access]
	return l.total >= maxLost || s != nil && len(s.tokens) >= maxLostPerAccess
}

// refusal says why an entry must not be honoured, nil if it may be. A token is
// looked for under all accesses: a reload may have given its access another name.
func (l *lost) refusal(e Entry) error {
	if e.Token == nil {
		return nil
	}
	for _, s := range l.shares {
		if _, ok := s.tokens[*e.Token]; ok {
			return ErrSpent
		}
	}
	s := l.shares[e.Access]
	if s == nil {
		return nil
	}
	if e.Expires.IsZero() && s.never || !e.Expires.IsZero() && !e.Expires.After(s.until) {
		return errLost
	}
	return nil
}

// forget removes what has expired: those knocks are refused for their age.
func (l *lost) forget(now time.Time) {
	for access, s := range l.shares {
		l.total -= len(s.tokens)
		for token, expires := range s.tokens {
			if !expires.IsZero() && expires.Before(now) {
				delete(s.tokens, token)
			}
		}
		l.total += len(s.tokens)
		if len(s.tokens) == 0 && !s.never && s.until.Before(now) {
			delete(l.shares, access)
		}
	}
}
