package spent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// An image reads a bbolt file with unknown contents. It returns an error for everything that
// would make bbolt panic, fault, loop, or miss a key. The format is that of bbolt 1.5's
// internal/common/page.go and meta.go, in the byte order of the host.
type image struct {
	r    io.ReaderAt
	meta meta
	// used marks the pages that were read. None may be read twice: it would be its own
	// ancestor, or have two parents.
	used []bool
}

// meta is a meta page: where everything else is.
type meta struct {
	pageSize uint64
	root     uint64 // page of the bucket of buckets
	freelist uint64 // page of the list of free pages
	pages    uint64 // in use or free; the file may be longer
	txid     uint64 // of the transaction that wrote it; the highest is the newest
}

// The format of pages.
const (
	pageHeaderSize = 16 // id (8), flags (2), count (2), overflow (4)
	elementSize    = 16

	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10

	bucketFlag = 0x01 // of an element; it has no other

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	metaSize    = 64
	pageIDSize  = 8

	minPageSize = 1 << 10
	maxPageSize = 1 << 24 // the largest that bbolt looks for
)

// readImage finds the newest meta page with a right checksum, as bbolt does.
func readImage(r io.ReaderAt, size int64) (*image, error) {
	m, err := findMeta(r)
	if err != nil {
		return nil, err
	}
	if m.pages > uint64(size)/m.pageSize {
		return nil, fmt.Errorf("it has %d bytes, too few for its %d pages", size, m.pages)
	}
	// Two meta pages, the free list and the root.
	if m.pages < 4 {
		return nil, fmt.Errorf("it has %d pages, and must have at least 4", m.pages)
	}
	im := &image{r: r, meta: m, used: make([]bool, m.pages)}
	im.used[0], im.used[1] = true, true
	return im, nil
}

// findMeta reads both meta pages. If only one has a right checksum, the file is not damaged:
// the other is what a power failure left of a transaction.
func findMeta(r io.ReaderAt) (meta, error) {
	first, ok := metaAt(r, 0)
	if !ok {
		// The second is at the page size, which is in the meta pages.
		return findSecondMeta(r)
	}
	if size := first.pageSize; size < minPageSize || size > maxPageSize || size&(size-1) != 0 {
		return meta{}, fmt.Errorf("bad page size %d", size)
	}
	second, ok := metaAt(r, first.pageSize)
	switch {
	case !ok || second.txid <= first.txid:
		return first, nil
	case second.pageSize != first.pageSize:
		return meta{}, errors.New("its meta pages contradict each other")
	}
	return second, nil
}

// findSecondMeta looks for the second meta page without the first: it tries every size that
// pages may have, as bbolt does.
func findSecondMeta(r io.ReaderAt) (meta, error) {
	for size := uint64(minPageSize); size <= maxPageSize; size *= 2 {
		if m, ok := metaAt(r, size); ok {
			if m.pageSize != size {
				return meta{}, errors.New("its second meta page is not in its place")
			}
			return m, nil
		}
	}
	return meta{}, errors.New("it has no valid meta page")
}

// metaAt reads the meta page at an offset and reports whether it is whole.
func metaAt(r io.ReaderAt, offset uint64) (m meta, ok bool) {
	var b [pageHeaderSize + metaSize]byte
	if _, err := r.ReadAt(b[:], int64(offset)); err != nil {
		return meta{}, false
	}
	body := b[pageHeaderSize:]
	order := binary.NativeEndian
	sum := fnv.New64a()
	_, _ = sum.Write(body[:metaSize-8]) // the Write of a hash returns no error
	if order.Uint32(body) != metaMagic || order.Uint32(body[4:]) != metaVersion ||
		order.Uint64(body[metaSize-8:]) != sum.Sum64() {
		return meta{}, false
	}
	return meta{
		pageSize: uint64(order.Uint32(body[8:])),
		root:     order.Uint64(body[16:]),
		freelist: order.Uint64(body[32:]),
		pages:    order.Uint64(body[40:]),
		txid:     order.Uint64(body[48:]),
	}, true
}

// A page is a page, together with its overflow pages.
type page struct {
	id    uint64
	flags uint16
	count int
	data  []byte // with the header
}

// parsePage reads the header of a page.
func parsePage(b []byte) page {
	order := binary.NativeEndian
	return page{
		id:    order.Uint64(b),
		flags: order.Uint16(b[8:]),
		count: int(order.Uint16(b[10:])),
		data:  b,
	}
}

// page reads a page that was not read before.
func (im *image) page(id uint64) (page, error) {
	if err := im.use(id, 1); err != nil {
		return page{}, err
	}
	b := make([]byte, im.meta.pageSize)
	if err := im.read(b, id); err != nil {
		return page{}, err
	}
	p := parsePage(b)
	if p.id != id {
		return page{}, fmt.Errorf("page %d has the number %d", id, p.id)
	}
	// use checks overflow against the file before memory is allocated for it.
	if overflow := uint64(binary.NativeEndian.Uint32(b[12:])); overflow > 0 {
		if err := im.use(id+1, overflow); err != nil {
			return page{}, err
		}
		p.data = make([]byte, (1+overflow)*im.meta.pageSize)
		if err := im.read(p.data, id); err != nil {
			return page{}, err
		}
	}
	return p, nil
}

func (im *image) read(b []byte, id uint64) error {
	if _, err := im.r.ReadAt(b, int64(id*im.meta.pageSize)); err != nil {
		return fmt.Errorf("page %d cannot be read: %w", id, err)
	}
	return nil
}

// use marks n pages from id on as read.
func (im *image) use(id, n uint64) error {
	// Not id+n > pages: with numbers from a damaged file, the sum may overflow.
	if id >= im.meta.pages || n > im.meta.pages-id {
		return fmt.Errorf("page %d is outside of the file", id)
	}
	for i := id; i < id+n; i++ {
		if im.used[i] {
			return fmt.Errorf("page %d is used twice", i)
		}
		im.used[i] = true
	}
	return nil
}

// free reads the list of free pages. None of them may be in use: bbolt would overwrite it.
func (im *image) free() error {
	p, err := im.page(im.meta.freelist)
	if err != nil {
		return err
	}
	if p.flags != freelistPage {
		return fmt.Errorf("page %d is not the list of free pages", p.id)
	}
	ids, n := p.data[pageHeaderSize:], uint64(p.count)
	if p.count == 0xFFFF { // the count does not fit in the header and is the first number
		n, ids = binary.NativeEndian.Uint64(ids), ids[pageIDSize:]
	}
	if n > uint64(len(ids))/pageIDSize {
		return fmt.Errorf("page %d lists %d free pages, more than it holds", p.id, n)
	}
	for ; n > 0; n, ids = n-1, ids[pageIDSize:] {
		if err := im.use(binary.NativeEndian.Uint64(ids), 1); err != nil {
			return err
		}
	}
	return nil
}
