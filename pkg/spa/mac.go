package spa

import (
	"crypto/subtle"
	"encoding"
	"hash"
	"sync"
)

// mac is a keyed HMAC (RFC 2104): the marshaled states of the hash function after the
// inner and the outer pad. Package hmac saves these states too, but an hmac.Hash also has
// two hash functions, which for many keys do not fit into the processor's cache, and only
// one goroutine at a time may use it.
//
// The prefix of packets is not hashed into the inner state: the packet would then not be
// aligned with the blocks of the hash function, and copying it into them takes longer
// than hashing ten more bytes.
type mac struct {
	hash         Hash
	inner, outer []byte
}

func newMAC(h Hash, key []byte) *mac {
	// RFC 2104, section 2: a key longer than a block is hashed, then padded with
	// zeros; ipad is the byte 0x36, opad the byte 0x5c.
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
			panic("spa: " + err.Error()) // all of hashes can be marshaled
		}
		return state
	}
	return &mac{hash: h, inner: keyed(0x36), outer: keyed(0x5c)}
}

func (m *mac) wipe() {
	clear(m.inner)
	clear(m.outer)
}

// verify reports whether the payload ends with the HMAC of the rest.
func (m *mac) verify(w *worker, payload []byte) bool {
	n := len(payload) - m.hash.textLen()
	if !wholeBlocks(n) || n > maxPayload {
		return false
	}
	// The received HMAC is decoded, rather than the right one encoded, because the
	// table of base64 makes the time of encoding depend on the secret sum.
	got, err := b64.Decode(w.tag[:], payload[n:])
	return err == nil && subtle.ConstantTimeCompare(w.mac(m, payload[:n]), w.tag[:got]) == 1
}

// appendText appends the HMAC of body, in base64.
func (m *mac) appendText(b, body []byte) []byte {
	w := m.hash.worker()
	defer pools[m.hash].Put(w)
	return b64.AppendEncode(b, w.mac(m, body))
}

// worker is a hash function with working memory.
type worker struct {
	hash.Hash
	state    encoding.BinaryUnmarshaler // the same Hash
	sum, tag [maxSum]byte
	text     [len(prefix) + maxPayload]byte // prefix and packet
}

// pools hold unused workers, by Hash.
var pools [len(hashes)]sync.Pool

// worker returns a worker from the pool, to which the caller must return it.
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

// mac returns the HMAC of prefix and body, which is valid until the next call. The body
// must not be longer than maxPayload.
func (w *worker) mac(m *mac, body []byte) []byte {
	// One Write of prefix and body is faster than two; newWorker has set the prefix.
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
		panic("spa: " + err.Error()) // newMAC marshaled a state of the same hash function
	}
}
