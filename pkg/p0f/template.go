package p0f

import (
	"encoding/binary"

	"nftknock/pkg/packet"
)

// template is how a layout looks on the wire: which bytes are fixed and where
// the others are. Nearly every SYN has one of a few layouts, and comparing its
// options with these, eight bytes at a time, takes a fraction of walking
// through them one by one.
type template struct {
	group        *group
	size, chunks int
	// Option bytes in eights, the last ones overlapping if size is no multiple
	// of eight: with those not in mask cleared they are value.
	mask, value [maxTCPOptions / 8]uint64
	// Where the data of these options are; 0 if they are not in the layout.
	mss, scale, timestamps uint8
	end                    bool // there is an end of options
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
	if size < 4 || size > maxTCPOptions || size%4 != 0 {
		return -1
	}
	return size / 4
}

// newTemplate makes the template of a group whose layout has words.
func newTemplate(g *group) template {
	t := template{group: g, size: g.layout.words() * 4}
	var mask, value [maxTCPOptions]byte
	at := 0
	for i := range g.layout.Len() {
		kind := g.layout.Kind(i)
		size := optionSize(kind)
		mask[at], value[at] = 0xff, byte(kind)
		if size > 1 {
			mask[at+1], value[at+1] = 0xff, byte(size)
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
			for j := at + 1; j < t.size; j++ {
				mask[j] = 0xff
			}
		}
		at += size
	}
	t.chunks = (t.size + 7) / 8
	for i := range t.chunks {
		t.mask[i] = load(mask[:t.size], i)
		t.value[i] = load(value[:t.size], i)
	}
	return t
}

// load gives the eight bytes of chunk i, or the last eight where fewer are left.
// Of fewer than eight in all it gives those.
func load(b []byte, i int) uint64 {
	if len(b) < 8 {
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b[min(8*i, len(b)-8):])
}

// fits reports whether options, which have as many words, look like t.
func (t *template) fits(options []byte) bool {
	if len(options) != t.size {
		return false
	}
	for i := range t.chunks {
		if load(options, i)&t.mask[i] != t.value[i] {
			return false
		}
	}
	return true
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
