package p0f

import (
	"encoding/binary"

	"nftknock/pkg/packet"
)

// template is how a layout looks on the wire: which bytes are fixed and where
// the others are. Nearly every SYN has one of a few layouts, and comparing its
// options with these as a whole takes a fraction of walking through them one by
// one.
type template struct {
	group       *group
	mask, value chunks // options with what is not in mask cleared are value
	// Where the data of these options are; 0 if they are not in the layout.
	mss, scale, timestamps uint8
	end                    bool // there is an end of options
}

// chunks are the bytes of options of at most maxTemplate bytes: the first eight, the
// last eight and those between, which overlap. It is no array, which would be
// copied through memory.
type chunks struct{ first, last, between uint64 }

const maxTemplate = 24

// newChunks reads options of 4, 8, ... maxTemplate bytes.
func newChunks(b []byte) (c chunks) {
	if len(b) < 8 {
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

// words is the length of the options in words of four bytes if they are such
// as templates are made of, else -1: all of one possible length, none twice,
// and filling whole words.
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

// newTemplate makes the template of a group whose layout has words.
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
			// Padding that is not zero is a quirk, and left to the walk.
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

// fits reports whether options of as many bytes look like t.
func (t *template) fits(c chunks) bool {
	return (c.first^t.value.first)&t.mask.first|
		(c.last^t.value.last)&t.mask.last|
		(c.between^t.value.between)&t.mask.between == 0
}

// read fills f from options that fit.
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
