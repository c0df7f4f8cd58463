package spa

import (
	"crypto/subtle"
	"encoding"
	"hash"
	"sync"
)

// mac is an HMAC (RFC 2104) keyed and ready for packets: the marshaled states of
// the hash function after the inner and the outer pad. Package hmac does the same,
// but has two hash functions and more a key, which many keys would push out of
// the cache, and which one goroutine may use at a time.
//
// The prefix is not in the inner state: it would shift the packet against the
// hash function's blocks, and that costs more than to hash ten bytes again.
type mac struct {
	hash         Hash
	inner, outer []byte
}

func newMAC(h Hash, key []byte) *mac {
	f := hashes[h].new()
	if len(key) > f.BlockSize() {
		key = h.sum(key)
	}
	keyed := func(pad byte) []byte {
		b := make([]byte, f.BlockSize())
		copy(b, key)
		for i := range b {
			b[i] ^= pad
		}
		f.Reset()
		f.Write(b)
		clear(b)
		state, err := f.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			panic("spa: " + err.Error()) // all of hashes can
		}
		return state
	}
	return &mac{hash: h, inner: keyed(0x36), outer: keyed(0x5c)}
}

func (m *mac) wipe() {
	clear(m.inner)
	clear(m.outer)
}

// verify reports whether the payload ends in the HMAC of what is before it.
func (m *mac) verify(w *worker, payload []byte) bool {
	n := len(payload) - m.hash.textLen()
	if !wholeBlocks(n) || n > maxPayload {
		return false
	}
	// What was sent is decoded, and not what is right encoded: table look-ups
	// may tell their input to those who share the processor.
	got, err := b64.Decode(w.tag[:], payload[n:])
	return err == nil && subtle.ConstantTimeCompare(w.mac(m, payload[:n]), w.tag[:got]) == 1
}

// appendText appends the HMAC of body, in base64.
func (m *mac) appendText(b, body []byte) []byte {
	w := m.hash.worker()
	defer pools[m.hash].Put(w)
	return b64.AppendEncode(b, w.mac(m, body))
}

// worker is a hash function, the same by its other name, and room: for sums, and
// for a packet behind its prefix.
type worker struct {
	hash.Hash
	state    encoding.BinaryUnmarshaler
	sum, tag [maxSum]byte
	text     [len(prefix) + maxPayload]byte
}

// pools keep workers of each hash function.
var pools [len(hashes)]sync.Pool

// worker returns one, to be put back.
func (h Hash) worker() *worker {
	if w, ok := pools[h].Get().(*worker); ok {
		return w
	}
	return h.newWorker()
}

func (h Hash) newWorker() *worker {
	f := hashes[h].new()
	w := &worker{Hash: f, state: f.(encoding.BinaryUnmarshaler)}
	copy(w.text[:], prefix)
	return w
}

// mac returns the HMAC of prefix and body, valid until the next call. The body is
// no longer than maxPayload.
func (w *worker) mac(m *mac, body []byte) []byte {
	n := len(prefix) + copy(w.text[len(prefix):], body)
	w.restore(m.inner)
	w.Write(w.text[:n])
	inner := w.Sum(w.sum[:0])
	w.restore(m.outer)
	w.Write(inner)
	return w.Sum(w.sum[:0])
}

func (w *worker) restore(state []byte) {
	if err := w.state.UnmarshalBinary(state); err != nil {
		panic("spa: " + err.Error()) // it is of this hash function
	}
}
