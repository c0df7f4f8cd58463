package spent

import (
	"errors"
	"fmt"
	"io"
)

// errVersion: another version of the program has written the store.
var errVersion = errors.New("unknown format version")

// contents sums up what verify finds in a file.
type contents struct {
	ledger
	// expiring and indexed are the sums of the digests of all tokens that expire: as they are
	// in the bucket tokens, and as they are in the bucket expiries.
	expiring, indexed uint64
}

// verify reads a whole file and returns its ledger. It returns an error if anything in the
// file is not as a Store writes it, or does not agree with the ledger.
func verify(r io.ReaderAt, size int64) (ledger, error) {
	im, err := readImage(r, size)
	if err != nil {
		return ledger{}, err
	}
	buckets := make(map[string][]byte)
	err = im.walk(im.meta.root, within{}, func(e element) error {
		if !e.bucket {
			return errors.New("an entry is outside of the buckets")
		}
		buckets[string(e.key)] = e.value
		return nil
	})
	if err != nil {
		return ledger{}, err
	}
	// First, because another version may have other buckets.
	want, err := readMeta(im, buckets[string(metaBucket)])
	if err != nil {
		return ledger{}, err
	}
	var c contents
	readers := []struct {
		bucket []byte
		each   func(element) error
	}{{tokensBucket, c.token}, {expiriesBucket, c.expiry}, {countsBucket, c.count}}
	if len(buckets) != len(readers)+1 {
		return ledger{}, errors.New("it has other buckets than a store has")
	}
	for _, r := range readers {
		if err := im.bucket(buckets[string(r.bucket)], r.each); err != nil {
			return ledger{}, fmt.Errorf("bucket %s: %w", r.bucket, err)
		}
	}
	if c.tokens != want.tokens || c.sum != want.sum || c.expiring != c.indexed {
		return ledger{}, errors.New("entries were altered or are missing")
	}
	// Last, when all pages in use are marked.
	return want, im.free()
}

// readMeta reads the bucket meta: it checks the version and returns the ledger.
func readMeta(im *image, bucket []byte) (ledger, error) {
	values := make(map[string][]byte)
	err := im.bucket(bucket, func(e element) error {
		values[string(e.key)] = e.value
		return nil
	})
	if err != nil {
		return ledger{}, fmt.Errorf("bucket %s: %w", metaBucket, err)
	}
	v := values[string(versionKey)]
	if len(v) != numberSize {
		return ledger{}, errors.New("it has no format version")
	}
	if n := parseNumber(v); n != version {
		return ledger{}, fmt.Errorf("%w %d: want %d", errVersion, n, version)
	}
	return parseLedger(values[string(ledgerKey)])
}

var errLength = errors.New("an entry has a wrong length")

// token adds an element of the bucket tokens.
func (c *contents) token(e element) error {
	if len(e.key) != len(Token{}) || len(e.value) != numberSize {
		return errLength
	}
	c.tokens++
	d := digest(e.key, e.value)
	c.sum += d
	if parseNumber(e.value) != never {
		c.expiring += d
	}
	return nil
}

// expiry adds an element of the bucket expiries.
func (c *contents) expiry(e element) error {
	if len(e.key) != expiryKeySize || len(e.value) != 0 {
		return errLength
	}
	// The digest that token has for the same token: of the token, and then the expiry.
	c.indexed += digest(e.key[numberSize:], e.key[:numberSize])
	return nil
}

// count adds an element of the bucket counts.
func (c *contents) count(e element) error {
	if len(e.value) != numberSize {
		return errLength
	}
	c.sum += digest(e.key, e.value)
	return nil
}
