package spent

import (
	"bytes"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// pruneBatch is how many tokens are deleted in one transaction. It bounds the time that a
// Spend waits for it: see maxGroup.
const pruneBatch = 100

// Prune deletes the tokens that have expired by now, and returns how many. From then on,
// Spend returns ErrStale for tokens that expire no later than one of them, so that none can
// be used again after the clock was set back. Spends continue between the transactions of
// Prune. If no token has expired, Prune writes nothing. It blocks for as long as the disk
// does.
func (s *Store) Prune(now time.Time) (removed int, err error) {
	for {
		n, err := s.pruneSome(now.Unix())
		removed += n
		if err != nil || n < pruneBatch {
			return removed, err
		}
	}
}

// pruneSome deletes up to pruneBatch of the tokens that expire by a second.
func (s *Store) pruneSome(by int64) (removed int, err error) {
	err = s.use(func() error {
		// Read first: a transaction that writes costs two syncs even if it changes nothing.
		var keys [][expiryKeySize]byte
		err := s.view(func(tx *bbolt.Tx) error {
			keys = expired(tx, by)
			return nil
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		err = s.update(func(tx *bbolt.Tx, l *ledger) error { return s.remove(tx, l, keys) })
		if err == nil {
			removed = len(keys)
		}
		return err
	})
	return removed, err
}

// expired returns up to pruneBatch keys of the bucket expiries, the earliest first.
func expired(tx *bbolt.Tx, by int64) [][expiryKeySize]byte {
	var keys [][expiryKeySize]byte
	c := tx.Bucket(expiriesBucket).Cursor()
	for k, _ := c.First(); k != nil && len(keys) < pruneBatch && parseNumber(k) <= by; k, _ = c.Next() {
		// A copy: bbolt's slices are valid only until the end of the transaction.
		keys = append(keys, [expiryKeySize]byte(k))
	}
	return keys
}

// remove deletes the tokens of some keys of the bucket expiries, which are in their order.
func (s *Store) remove(tx *bbolt.Tx, l *ledger, keys [][expiryKeySize]byte) error {
	tokens, expiries := tx.Bucket(tokensBucket), tx.Bucket(expiriesBucket)
	for i := range keys {
		expiry, token := keys[i][:numberSize], keys[i][numberSize:]
		if !bytes.Equal(tokens.Get(token), expiry) {
			return damaged(s.path, errors.New("tokens and expiries differ"))
		}
		if err := l.remove(tokens, token); err != nil {
			return err
		}
		if err := expiries.Delete(keys[i][:]); err != nil {
			return err
		}
	}
	l.tokens -= int64(len(keys))
	// Keys are in the order of their expiry, so the last has the latest.
	l.horizon = max(l.horizon, parseNumber(keys[len(keys)-1][:]))
	return nil
}
