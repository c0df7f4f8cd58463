package spent

import (
	"errors"
	"time"
)

// Bounds of the tokens that are kept in memory: in all, and per access, so that knocks for
// one access cannot use up the room of others.
const (
	maxLost          = 1 << 16
	maxLostPerAccess = 1 << 10
)

// errLost: the knock may be one that could not be recorded before, and whose token is not
// known any more.
var errLost = errors.New("the disk failed for more knocks of this access than can be kept in memory: refusing its older knocks")

// lost has the tokens that could not be recorded. They must not be honoured when the disk
// works again. When there is no room for another token, only its expiry is kept: all
// tokens of the access that expire no later are refused, in the way of a Store with its
// horizon. The zero value is empty. It is not safe for concurrent use.
type lost struct {
	shares map[string]*lostShare // by access; none is empty
	total  int                   // of tokens
}

// lostShare has the tokens of an access.
type lostShare struct {
	tokens map[Token]time.Time // when they expire; zero: never
	until  time.Time           // the latest expiry for which there was no room
	never  bool                // there was no room for a token that never expires
}

// add keeps the token of an entry, if it has one.
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
		// Not l.total++: the token may be there already.
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

// refusal returns the reason to refuse an entry, or nil. It looks for the token under all
// accesses, since a reload may have given its access another name.
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

// forget removes the tokens that have expired: their knocks are refused for their age.
func (l *lost) forget(now time.Time) {
	for access, s := range l.shares {
		l.total -= len(s.tokens)
		for token, expires := range s.tokens {
			// Go allows to delete from a map during a range over it.
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
