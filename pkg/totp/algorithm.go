package totp

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"

	"nftknock/pkg/invalid"
)

// Algorithm is the hash function under a code's HMAC.
type Algorithm uint8

// The algorithms of RFC 6238 that authenticators know. SHA1 is the zero value:
// many authenticators take any secret for one of SHA1, and HMAC does not lean
// on what SHA-1 has lost.
const (
	SHA1 Algorithm = iota
	SHA256
)

// ParseAlgorithm reads what String gives, "sha1" or "sha256".
func ParseAlgorithm(s string) (Algorithm, error) {
	switch s {
	case "sha1":
		return SHA1, nil
	case "sha256":
		return SHA256, nil
	}
	return SHA1, invalid.Newf("sha1 or sha256", "bad algorithm %q", s)
}

// String gives the form that ParseAlgorithm reads.
func (a Algorithm) String() string {
	switch a {
	case SHA1:
		return "sha1"
	case SHA256:
		return "sha256"
	}
	return "unknown"
}

// hash gives the maker of the algorithm's hash.
func (a Algorithm) hash() (func() hash.Hash, error) {
	switch a {
	case SHA1:
		return sha1.New, nil
	case SHA256:
		return sha256.New, nil
	}
	return nil, fmt.Errorf("bad algorithm %d: want SHA1 or SHA256", uint8(a))
}
