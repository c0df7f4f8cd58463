package spa

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"hash"
	"strings"

	"nftknock/pkg/invalid"
)

// Hash is the hash function of an HMAC or of the digest in a message. The zero Hash is
// none of them. The numbers are those that fwknop prints.
type Hash uint8

// The hash functions of fwknop. Its default for both uses is SHA256.
const (
	MD5 Hash = iota + 1
	SHA1
	SHA256
	SHA384
	SHA512
	SHA3_256 //nolint:revive // the name in package crypto
	SHA3_512 //nolint:revive // likewise
)

// hashes describes the hash functions, by Hash.
var hashes = [...]struct {
	name string
	new  func() hash.Hash
	size int // of a sum, in bytes
}{
	MD5:      {"md5", md5.New, md5.Size},
	SHA1:     {"sha1", sha1.New, sha1.Size},
	SHA256:   {"sha256", sha256.New, sha256.Size},
	SHA384:   {"sha384", sha512.New384, sha512.Size384},
	SHA512:   {"sha512", sha512.New, sha512.Size},
	SHA3_256: {"sha3-256", func() hash.Hash { return sha3.New256() }, 32},
	SHA3_512: {"sha3-512", func() hash.Hash { return sha3.New512() }, maxSum},
}

// maxSum is the size of the longest sum, in bytes.
const maxSum = 64

// ParseHash reads the name of a hash function, in the form of String or with an
// underscore as in fwknop ("sha3_256"), in upper or lower case.
func ParseHash(s string) (Hash, error) {
	name := strings.ReplaceAll(strings.ToLower(s), "_", "-")
	for h := MD5; h.valid(); h++ {
		if hashes[h].name == name {
			return h, nil
		}
	}
	return 0, invalid.Newf("md5, sha1, sha256, sha384, sha512, sha3-256 or sha3-512", "bad hash %q", s)
}

// String returns the name in lower case: "sha256", "sha3-256".
func (h Hash) String() string {
	if !h.valid() {
		return "unknown"
	}
	return hashes[h].name
}

func (h Hash) valid() bool { return MD5 <= h && h <= SHA3_512 }

// textLen returns the length of a sum in base64.
func (h Hash) textLen() int { return b64.EncodedLen(hashes[h].size) }

// sum returns the hash of b.
func (h Hash) sum(b []byte) []byte {
	f := hashes[h].new()
	f.Write(b)
	return f.Sum(nil)
}
