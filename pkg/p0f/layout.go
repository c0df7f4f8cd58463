package p0f

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"nftknock/pkg/packet"
)

// MaxOptions is the largest number of TCP options in a layout. A SYN with more
// counts as malformed (QuirkBad).
const MaxOptions = 24

// Layout is the order of the TCP options of a SYN: their kinds, and how many
// bytes follow an end-of-options. It is comparable.
type Layout struct {
	// Eight kinds per word, the first in the lowest byte, so that comparing and
	// hashing take three steps and not 24.
	kinds [MaxOptions / 8]uint64
	n     uint8 // number of options
	pad   uint8 // bytes after an end-of-options
}

// Len returns the number of options.
func (l Layout) Len() int { return int(l.n) }

// Kind returns the kind of option i, counted from 0.
func (l Layout) Kind(i int) packet.OptionKind {
	return packet.OptionKind(l.kinds[i/8] >> (i % 8 * 8))
}

// Padding returns the number of bytes after an end-of-options.
func (l Layout) Padding() int { return int(l.pad) }

// contains reports whether the layout has an option of this kind.
func (l *Layout) contains(kind packet.OptionKind) bool {
	for i := range l.Len() {
		if l.Kind(i) == kind {
			return true
		}
	}
	return false
}

// padded returns one copy of the layout for each padding from least to most.
func (l Layout) padded(least, most int) []Layout {
	var all []Layout
	for pad := least; pad <= most; pad++ {
		l.pad = uint8(pad)
		all = append(all, l)
	}
	return all
}

// add appends an option. The layout must have less than MaxOptions.
func (l *Layout) add(kind uint8) {
	l.kinds[l.n/8] |= uint64(kind) << (l.n % 8 * 8)
	l.n++
}

// hash mixes the layout by multiplication; the constants are those of xxHash64 and
// of Fibonacci hashing, odd and with about as many ones as zeros. The upper bits
// are mixed best.
func (l *Layout) hash() uint64 {
	return (l.kinds[0]^uint64(l.n)<<56)*0x9e3779b97f4a7c15 ^
		(l.kinds[1]^uint64(l.pad))*0xc2b2ae3d27d4eb4f ^
		l.kinds[2]*0x165667b19e3779f9
}

// optionSize returns the length in bytes of options whose length is fixed, else 0.
// For an end of options it does not include the padding.
func optionSize(kind packet.OptionKind) int {
	switch kind {
	case packet.OptionEnd, packet.OptionNOP:
		return 1
	case packet.OptionMSS:
		return 4
	case packet.OptionWindowScale:
		return 3
	case packet.OptionSACKPermitted:
		return 2
	case packet.OptionTimestamps:
		return 10
	}
	return 0
}

var optionNames = map[packet.OptionKind]string{
	packet.OptionNOP:           "nop",
	packet.OptionMSS:           "mss",
	packet.OptionWindowScale:   "ws",
	packet.OptionSACKPermitted: "sok",
	packet.OptionSACK:          "sack",
	packet.OptionTimestamps:    "ts",
}

const tokenEnd = "eol+"

func parseLayout(field string) (Layout, error) {
	var l Layout
	if field == "" {
		return l, nil
	}
	for token := range strings.SplitSeq(field, ",") {
		if l.n == MaxOptions {
			return Layout{}, fmt.Errorf("more than %d options", MaxOptions)
		}
		if l.n > 0 && l.Kind(int(l.n)-1) == packet.OptionEnd {
			return Layout{}, errors.New("eol must be the last option")
		}
		kind, pad, err := parseOption(token)
		if err != nil {
			return Layout{}, err
		}
		l.add(uint8(kind))
		l.pad = pad
	}
	return l, nil
}

func parseOption(token string) (kind packet.OptionKind, pad uint8, err error) {
	for kind, name := range optionNames {
		if token == name {
			return kind, 0, nil
		}
	}
	if n, ok := strings.CutPrefix(token, tokenEnd); ok {
		pad, err := parseNumber(n, 0, 255)
		return packet.OptionEnd, uint8(pad), err
	}
	if n, ok := strings.CutPrefix(token, "?"); ok {
		k, err := parseNumber(n, 0, 255)
		if err != nil {
			return 0, 0, err
		}
		kind = packet.OptionKind(k)
		if _, known := optionNames[kind]; known || kind == packet.OptionEnd {
			return 0, 0, fmt.Errorf("%q is an option that has a name", token)
		}
		return kind, 0, nil
	}
	return 0, 0, fmt.Errorf("unknown option %q", token)
}

// String returns the form that signatures have: "mss,sok,ts,nop,ws".
func (l Layout) String() string { return string(l.appendTo(nil)) }

func (l *Layout) appendTo(b []byte) []byte {
	for i := range l.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		switch kind := l.Kind(i); {
		case kind == packet.OptionEnd:
			b = append(b, tokenEnd...)
			b = strconv.AppendUint(b, uint64(l.pad), 10)
		case optionNames[kind] != "":
			b = append(b, optionNames[kind]...)
		default:
			b = append(b, '?')
			b = strconv.AppendUint(b, uint64(kind), 10)
		}
	}
	return b
}
