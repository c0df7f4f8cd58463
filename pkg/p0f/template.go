package p0f

import (
	"encoding/binary"

	"nftknock/pkg/packet"
)

// template is the form of a layout on the wire: which bytes are fixed, and where the
// data of the options are. Nearly every SYN has one of a few layouts, and comparing
// all its options with a template at once takes a fraction of the time that reading
// them one by one does.
type template struct {
	group       *group
	mask, value chunks // options fit if options&mask == value
	// Offsets of the data of these options; 0 if the layout does not have them.
	mss, scale, timestamps uint8
	end                    bool // the layout has an end of options
}

// chunks holds options of 4 to maxTemplate bytes: the first eight bytes, the last
// eight, and the eight that follow the first, which may overlap. It has fields and
// not an array because the compiler keeps only fields in registers.
type chunks struct{ first, last, between uint64 }

const maxTemplate = 24

// newChunks reads options of 4, 8, ... maxTemplate bytes.
func newChunks(b []byte) (c chunks) {
	if len(b) < 8 { // exactly 4, since a data offset counts words of 4 bytes
		c.first = uint64(binary.LittleEndian.Uint32(b))
		return c
	}
	c.first = binary.LittleEndian.Uint64(b)
	c.last = binary.LittleEndian.Uint64(b[len(b)-8:])
	if len(b) > 16 {
		c.between = binary.LittleEndian.Uint64(b[8:])
	}
	return c
}

// words returns the length of the options in words of four bytes, or -1 if the layout
// cannot have a template. It can if every option has a fixed length, none but NOP
// appears twice, and together they fill whole words.
func (l *Layout) words() int {
	size := l.Padding()
	for i := range l.Len() {
		kind := l.Kind(i)
		n := optionSize(kind)
		if n == 0 {
			return -1
		}
		for j := range i {
			if l.Kind(j) == kind && kind != packet.OptionNOP {
				return -1
			}
		}
		size += n
	}
	if size < 4 || size > maxTemplate || size%4 != 0 {
		return -1
	}
	return size / 4
}

// newTemplate makes the template of a group. words of its layout must not be -1.
func newTemplate(g *group) template {
	t := template{group: g}
	size := g.layout.words() * 4
	mask, value := make([]byte, size), make([]byte, size)
	at := 0
	for i := range g.layout.Len() {
		kind := g.layout.Kind(i)
		length := optionSize(kind)
		mask[at], value[at] = 0xff, byte(kind)
		if length > 1 {
			mask[at+1], value[at+1] = 0xff, byte(length)
		}
		switch data := uint8(at + 2); kind {
		case packet.OptionMSS:
			t.mss = data
		case packet.OptionWindowScale:
			t.scale = data
		case packet.OptionTimestamps:
			t.timestamps = data
		case packet.OptionEnd:
			// The template wants padding of zeros. Other padding is a quirk, which
			// readOptions finds.
			t.end = true
			for j := at + 1; j < size; j++ {
				mask[j] = 0xff
			}
		}
		at += length
	}
	t.mask, t.value = newChunks(mask), newChunks(value)
	return t
}

// fits reports whether options fit, which must have the length of the template.
func (t *template) fits(c chunks) bool {
	// One comparison and no branch: the differences of all chunks together.
	return (c.first^t.value.first)&t.mask.first|
		(c.last^t.value.last)&t.mask.last|
		(c.between^t.value.between)&t.mask.between == 0
}

// read fills f from options, which must fit.
func (t *template) read(f *features, options []byte) {
	if t.mss != 0 {
		f.mss = binary.BigEndian.Uint16(options[t.mss:])
	}
	if t.scale != 0 {
		f.scale = options[t.scale]
	}
	if t.timestamps != 0 {
		f.readTimestamps(binary.BigEndian.Uint64(options[t.timestamps:]))
	}
	if t.end && t.group.layout.pad > 0 {
		f.quirks |= quirkPadded
	}
}
