package totp

import (
	"crypto/sha1"
	"crypto/sha256"
	"fmt"
	"hash"

	"nftknock/pkg/invalid"
)

// Algorithm is the hash function in the HMAC of a code.
type Algorithm uint8

// The algorithms of RFC 6238 that authenticators support. SHA1 is the zero value: many
// authenticators use it whatever the URI says, and HMAC does not depend on the collision
// resistance that SHA-1 has lost.
const (
	SHA1 Algorithm = iota
	SHA256
)

// ParseAlgorithm reads the name that String returns, "sha1" or "sha256".
func ParseAlgorithm(s string) (Algorithm, error) {
	switch s {
	case "sha1":
		return SHA1, nil
	case "sha256":
		return SHA256, nil
	}
	return SHA1, invalid.Newf("sha1 or sha256", "bad algorithm %q", s)
}

// String returns the form that ParseAlgorithm reads.
func (a Algorithm) String() string {
	switch a {
	case SHA1:
		return "sha1"
	case SHA256:
		return "sha256"
	}
	return "unknown"
}

// hash returns the constructor of the hash function.
func (a Algorithm) hash() (func() hash.Hash, error) {
	switch a {
	case SHA1:
		return sha1.New, nil
	case SHA256:
		return sha256.New, nil
	}
	return nil, fmt.Errorf("bad algorithm %d: want SHA1 or SHA256", uint8(a))
}
