package hostrules

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// tri is the result of a comparison of which not everything is known.
type tri uint8

const (
	no tri = iota
	maybe
	yes
)

func (t tri) not() tri { return yes - t }

// A value is some bytes of which each bit may be known. b and known have the same length;
// an unknown bit is 0 in both.
type value struct {
	b, known []byte
}

func known(b []byte) value { return value{b, bytes.Repeat([]byte{0xff}, len(b))} }

func unknown(n int) value { return value{make([]byte, n), make([]byte, n)} }

func known8(n uint8) value { return known([]byte{n}) }

func knownBig16(n uint16) value { return known(binary.BigEndian.AppendUint16(nil, n)) }

// knownHost is a number as the kernel keeps it in a register: in the byte order of the
// machine.
func knownHost(n uint32) value { return known(binary.NativeEndian.AppendUint32(nil, n)) }

// part returns n bytes from an offset. Bytes beyond the end are unknown.
func (v value) part(at, n int) value {
	p := unknown(n)
	if at < len(v.b) {
		copy(p.b, v.b[at:])
		copy(p.known, v.known[at:])
	}
	return p
}

// put overwrites the bytes at an offset.
func (v value) put(at int, w value) {
	copy(v.b[at:], w.b)
	copy(v.known[at:], w.known)
}

// complete reports whether each bit is known.
func (v value) complete() bool {
	return !slices.ContainsFunc(v.known, func(b byte) bool { return b != 0xff })
}

// equals says whether the value is b, which has the same length.
func (v value) equals(b []byte) tri {
	if len(b) != len(v.b) {
		return maybe
	}
	for i := range b {
		if (b[i]^v.b[i])&v.known[i] != 0 {
			return no
		}
	}
	if v.complete() {
		return yes
	}
	return maybe
}

// largest is the value with all unknown bits set; with none set it is b.
func (v value) largest() []byte {
	max := make([]byte, len(v.b))
	for i := range max {
		max[i] = v.b[i] | ^v.known[i]
	}
	return max
}

// within says whether the value is from first to last, as numbers in network byte order.
func (v value) within(first, last []byte) tri {
	if bytes.Equal(first, last) {
		return v.equals(first)
	}
	least, most := v.b, v.largest()
	switch {
	case bytes.Compare(most, first) < 0 || bytes.Compare(least, last) > 0:
		return no
	case bytes.Compare(least, first) >= 0 && bytes.Compare(most, last) <= 0:
		return yes
	}
	return maybe
}

// less says whether the value is less than b.
func (v value) less(b []byte) tri {
	switch {
	case len(b) != len(v.b):
		return maybe
	case bytes.Compare(v.largest(), b) < 0:
		return yes
	case bytes.Compare(v.b, b) >= 0:
		return no
	}
	return maybe
}

// masked returns the value & mask ^ xor. A bit that mask clears is known.
func (v value) masked(mask, xor []byte) value {
	r := unknown(len(v.b))
	for i := range r.b {
		r.known[i] = v.known[i] | ^mask[i]
		r.b[i] = (v.b[i]&mask[i] ^ xor[i]) & r.known[i]
	}
	return r
}

// swapped returns the value with the bytes of each group of size bytes reversed.
func (v value) swapped(size int) value {
	r := value{slices.Clone(v.b), slices.Clone(v.known)}
	for at := 0; at+size <= len(r.b); at += size {
		slices.Reverse(r.b[at : at+size])
		slices.Reverse(r.known[at : at+size])
	}
	return r
}

// merge keeps of a value the bits in which another agrees: what is known of one of the
// two when it is not known which it is.
func (v value) merge(w value) value {
	r := unknown(len(v.b))
	for i := range r.b {
		r.known[i] = v.known[i] & w.known[i] &^ (v.b[i] ^ w.b[i])
		r.b[i] = v.b[i] & r.known[i]
	}
	return r
}
