package totp

import (
	"fmt"
	"math"
)

// The ports of a code: the pair of digits number k, counted from 0, with the value v, is
// sent as the port base + LaneWidth*k + v.
const (
	DefaultBase = 40000
	LaneWidth   = 100        // number of values of two digits
	Lanes       = Digits / 2 // pairs in a code
	// MaxBase is the highest base whose last lane ends at port 65535 or below.
	MaxBase = math.MaxUint16 + 1 - Lanes*LaneWidth
)

// Pairs returns the pairs of digits of a code from the left, each 0 to 99:
// 12345678 is 12, 34, 56 and 78.
func Pairs(code uint32) [Lanes]int {
	var pairs [Lanes]int
	for k := Lanes - 1; k >= 0; k-- {
		pairs[k] = int(code % LaneWidth)
		code /= LaneWidth
	}
	return pairs
}

// Join returns the code with these pairs of digits, each 0 to 99. It is the inverse of
// Pairs.
func Join(pairs [Lanes]int) uint32 {
	code := uint32(0)
	for _, v := range pairs {
		code = LaneWidth*code + uint32(v)
	}
	return code
}

// Ports returns the ports of a code, one in each lane. It panics if the base is not 1 to
// MaxBase.
func Ports(base uint16, code uint32) [Lanes]uint16 {
	if base == 0 || base > MaxBase {
		panic(fmt.Sprintf("totp: base %d: want 1 to %d", base, MaxBase))
	}
	var ports [Lanes]uint16
	for k, v := range Pairs(code) {
		ports[k] = base + uint16(LaneWidth*k+v)
	}
	return ports
}
