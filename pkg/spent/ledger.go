package spent

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// version is the version of the format of buckets, keys and values.
const version = 1

var (
	tokensBucket   = []byte("tokens")
	expiriesBucket = []byte("expiries")
	countsBucket   = []byte("counts")
	metaBucket     = []byte("meta")

	versionKey = []byte("version")
	ledgerKey  = []byte("ledger")
)

// A ledger is a checksum of the other buckets. bbolt has checksums of its meta pages alone;
// the ledger shows that a token was altered or lost on the disk. Every transaction writes
// it, as three numbers and their digest.
type ledger struct {
	// horizon is the latest expiry of a token that was pruned.
	horizon int64
	// tokens is the number of entries in the bucket tokens.
	tokens int64
	// sum is the sum of the digests of all entries in tokens and counts, modulo 2^64. A sum
	// can be updated for one entry without the others, in any order.
	sum uint64
}

const ledgerSize = 4 * numberSize

// encode returns the three numbers and their digest.
func (l *ledger) encode() []byte {
	b := make([]byte, 0, ledgerSize)
	b = binary.BigEndian.AppendUint64(b, uint64(l.horizon))
	b = binary.BigEndian.AppendUint64(b, uint64(l.tokens))
	b = binary.BigEndian.AppendUint64(b, l.sum)
	return binary.BigEndian.AppendUint64(b, digest(b, nil))
}

func parseLedger(b []byte) (ledger, error) {
	if len(b) != ledgerSize {
		return ledger{}, errors.New("the ledger is missing or has a wrong length")
	}
	body, check := b[:ledgerSize-numberSize], b[ledgerSize-numberSize:]
	if digest(body, nil) != binary.BigEndian.Uint64(check) {
		return ledger{}, errors.New("the ledger was altered")
	}
	return ledger{
		horizon: parseNumber(body),
		tokens:  parseNumber(body[numberSize:]),
		sum:     binary.BigEndian.Uint64(body[2*numberSize:]),
	}, nil
}

func readLedger(tx *bbolt.Tx) (ledger, error) {
	return parseLedger(tx.Bucket(metaBucket).Get(ledgerKey))
}

// add puts an entry into a bucket that does not have its key.
func (l *ledger) add(b *bbolt.Bucket, key, value []byte) error {
	l.sum += digest(key, value)
	return b.Put(key, value)
}

// remove deletes an entry from a bucket, if the bucket has it.
func (l *ledger) remove(b *bbolt.Bucket, key []byte) error {
	value := b.Get(key)
	if value == nil {
		return nil
	}
	// Before Delete: value is memory of bbolt's page.
	l.sum -= digest(key, value)
	return b.Delete(key)
}

// digest is a checksum of an entry against accidents. It is no protection against someone
// who can write the file, who could as well delete it.
func digest(key, value []byte) uint64 {
	// Every value has numberSize bytes, so that key and value together are unambiguous.
	h := sha256.Sum256(append(append(make([]byte, 0, 64), key...), value...))
	return binary.BigEndian.Uint64(h[:])
}

// numberSize is the length of a number in a key or value.
const numberSize = 8

// number encodes n, which must not be negative. Big endian, since bbolt sorts keys by their
// bytes and Prune needs them in the order of the numbers.
func number(n int64) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(n))
}

func parseNumber(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) }

// never is the expiry of tokens that do not expire. Other tokens cannot have it: refusal
// finds a token that expires in 1970 stale, as the horizon is at least 0.
const never = 0

// seconds returns the expiry of a token in the form that is stored.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	s := t.Unix()
	if t.Nanosecond() > 0 {
		s++
	}
	return s
}

// expiryKeySize is the length of a key in the bucket expiries.
const expiryKeySize = numberSize + len(Token{})

func expiryKey(expiry int64, t *Token) []byte {
	return append(number(expiry), t[:]...)
}
