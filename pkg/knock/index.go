package knock

import "hash/maphash"

// key is an address without the pointer of a netip.Addr, so that it hashes fast.
// IPv4 addresses are mapped (RFC 4291, section 2.5.5.2).
type key [16]byte

// node is what an index holds: a struct with a key and room for one link. N is the
// struct, so that methods are called on it without an interface.
type node[N any] interface {
	*N
	indexKey() key
	indexNext() **N
}

// index is a hash table whose chains run through the nodes themselves, so
// that adding one allocates nothing and the table's size is known from the
// start. Several nodes may have the same key.
type index[N any, P node[N]] struct {
	seed    maphash.Seed // senders choose the keys, and must not know the hashes
	buckets []*N         // their number is a power of two
}

// newIndex makes an index for about n nodes. More make it slower.
func newIndex[N any, P node[N]](n int) index[N, P] {
	size := 1
	for size < n {
		size *= 2
	}
	return index[N, P]{seed: maphash.MakeSeed(), buckets: make([]*N, size)}
}

func (x *index[N, P]) bucket(k key) **N {
	// len - 1 of a power of two masks the low bits, as the remainder would.
	return &x.buckets[maphash.Comparable(x.seed, k)&uint64(len(x.buckets)-1)]
}

// first returns a node with the key, or nil; next goes on from there.
func (x *index[N, P]) first(k key) *N {
	return x.scan(*x.bucket(k), k)
}

func (x *index[N, P]) next(n *N) *N {
	return x.scan(*P(n).indexNext(), P(n).indexKey())
}

func (x *index[N, P]) scan(n *N, k key) *N {
	for n != nil && P(n).indexKey() != k {
		n = *P(n).indexNext()
	}
	return n
}

func (x *index[N, P]) insert(n *N) {
	b := x.bucket(P(n).indexKey())
	*P(n).indexNext() = *b
	*b = n
}

func (x *index[N, P]) remove(n *N) {
	// p points to the pointer that leads to the next node: the bucket, then links.
	p := x.bucket(P(n).indexKey())
	for *p != n {
		p = P(*p).indexNext()
	}
	*p = *P(n).indexNext()
	*P(n).indexNext() = nil
}
