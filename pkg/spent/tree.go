package spent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// An element is one entry of a branch or leaf page. Its slices are memory of the page.
type element struct {
	key    []byte
	value  []byte // in a leaf
	bucket bool   // in a leaf: value is a bucket
	child  uint64 // in a branch: the page with the keys from key on
}

// element returns the i-th element of a branch or leaf page.
func (p *page) element(i int) (e element, err error) {
	at := pageHeaderSize + i*elementSize
	if at+elementSize > len(p.data) {
		return element{}, fmt.Errorf("page %d has too many elements", p.id)
	}
	order, b := binary.NativeEndian, p.data[at:]
	var pos, keySize, valueSize uint64
	if p.flags == branchPage { // position (4), key size (4), page (8)
		pos, keySize = uint64(order.Uint32(b)), uint64(order.Uint32(b[4:]))
		e.child = order.Uint64(b[8:])
	} else { // flags (4), position (4), key size (4), value size (4)
		flags := order.Uint32(b)
		if flags > bucketFlag {
			return element{}, fmt.Errorf("page %d has an element of an unknown kind", p.id)
		}
		e.bucket = flags == bucketFlag
		pos, keySize, valueSize = uint64(order.Uint32(b[4:])), uint64(order.Uint32(b[8:])), uint64(order.Uint32(b[12:]))
	}
	// These are numbers of 32 bits in variables of 64: the sum cannot overflow. The position
	// counts from the element and not from the page.
	if keySize == 0 || pos+keySize+valueSize > uint64(len(b)) {
		return element{}, fmt.Errorf("page %d has an element that is not inside the page", p.id)
	}
	e.key = b[pos : pos+keySize]
	e.value = b[pos+keySize : pos+keySize+valueSize]
	return e, nil
}

// within says which keys a page must have: first is the first of them, and all are below
// high. Both are nil for a root, which may have any keys.
type within struct{ first, high []byte }

// elements calls each with the elements of the page, and with the keys that their children
// must have. It returns an error for keys in an order in which bbolt's search would not find
// them.
func (p *page) elements(w within, each func(element, within) error) error {
	if p.count == 0 {
		if w.first != nil { // only a root may be empty
			return fmt.Errorf("page %d is empty", p.id)
		}
		return nil
	}
	e, err := p.element(0)
	if err != nil {
		return err
	}
	if w.first != nil && !bytes.Equal(e.key, w.first) {
		return fmt.Errorf("page %d does not begin with the key in its parent", p.id)
	}
	for i := range p.count {
		next, below := element{}, within{e.key, w.high}
		if i+1 < p.count {
			if next, err = p.element(i + 1); err != nil {
				return err
			}
			below.high = next.key
		}
		if below.high != nil && bytes.Compare(e.key, below.high) >= 0 {
			return fmt.Errorf("page %d is not in order", p.id)
		}
		if err := each(e, below); err != nil {
			return err
		}
		e = next
	}
	return nil
}

// walk calls each with all elements of the leaves below a page, in the order of their keys.
// It ends even if pages refer to each other, since no page can be read twice.
func (im *image) walk(id uint64, w within, each func(element) error) error {
	p, err := im.page(id)
	if err != nil {
		return err
	}
	switch {
	case p.flags == leafPage:
		return p.elements(w, func(e element, _ within) error { return each(e) })
	case p.flags == branchPage && p.count > 0:
		return p.elements(w, func(e element, w within) error { return im.walk(e.child, w, each) })
	}
	return fmt.Errorf("page %d is neither a branch nor a leaf", id)
}

// bucketHeaderSize is the length of the header in the value of a bucket: the number of its
// root page (8), and a sequence number (8) that a Store does not use. If the root is 0, the
// bucket is inline: its only page follows the header.
const bucketHeaderSize = 16

// bucket calls each with all elements of a bucket. value is the value of its element.
func (im *image) bucket(value []byte, each func(element) error) error {
	if len(value) < bucketHeaderSize {
		return errors.New("a bucket is truncated")
	}
	plain := func(e element) error {
		if e.bucket {
			return errors.New("a bucket is inside another")
		}
		return each(e)
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		return im.walk(root, within{}, plain)
	}
	inline := value[bucketHeaderSize:]
	if len(inline) < pageHeaderSize {
		return errors.New("an inline bucket is truncated")
	}
	p := parsePage(inline)
	// bbolt writes an inline page without a number.
	if p.id != 0 || p.flags != leafPage {
		return errors.New("an inline bucket is no leaf")
	}
	return p.elements(within{}, func(e element, _ within) error { return plain(e) })
}
