package totp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// codes is the number of codes of eight digits.
const codes = 100_000_000

// Code returns the code of a step, 0 to 99,999,999. It does not allocate. It panics if
// the Secret was wiped.
func (s *Secret) Code(step int64) uint32 {
	m := s.reveal()
	if m.mac == nil {
		panic("totp: Code of a wiped Secret")
	}
	binary.BigEndian.PutUint64(m.counter[:], uint64(step))
	m.mac.Reset()
	m.mac.Write(m.counter[:])
	return truncate(m.mac.Sum(m.sum[:0]))
}

// truncate is the dynamic truncation of RFC 4226, section 5.3.
func truncate(sum []byte) uint32 {
	// The last four bits are the offset of four bytes, of which the highest bit is
	// ignored. The RFC defines it for 20 bytes; the reference program of RFC 6238 does
	// the same with 32.
	offset := sum[len(sum)-1] & 0xf
	return binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff % codes
}

// ParseCode reads a code as people type it: eight digits, with blanks anywhere
// ("1234 5678").
func ParseCode(s string) (uint32, error) {
	code, digits := uint32(0), 0
	for _, c := range []byte(s) {
		switch {
		case c == ' ' || c == '\t':
			continue
		case c < '0' || c > '9':
			return 0, errors.New(`bad code: not digits alone: want eight, as in "1234 5678"`)
		}
		if digits++; digits <= Digits {
			code = 10*code + uint32(c-'0')
		}
	}
	if digits != Digits {
		// An authenticator that ignores the number of digits in the URI shows six.
		return 0, fmt.Errorf(`bad code of %d digits: want eight, as in "1234 5678"`, digits)
	}
	return code, nil
}
