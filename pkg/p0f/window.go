package p0f

import (
	"fmt"
	"strconv"
	"strings"
)

// WindowRule says how a signature's window is to be read.
type WindowRule uint8

// The rules, and how they are written.
const (
	WindowAny     WindowRule = iota // "*"
	WindowValue                     // "8192": this value
	WindowModulo                    // "%8192": a multiple of it
	WindowMSS                       // "mss*4": so many segments
	WindowMTU                       // "mtu*4": so many packets
	WindowSegment                   // "fit65536": the whole segments that fit into so many bytes
	WindowS                         // "S4", in the older grammars: so many segments
	WindowT                         // "T4", likewise: so many packets
)

// Window is the window field of a signature.
//
// WindowMSS and WindowMTU are tried against the packet's MSS and against the
// sizes that Ethernet gives, because a router on the path may have lowered
// the MSS option when the window had been computed.
//
// WindowSegment ("fit65536") is how Linux since 4.20 and Windows since 10 choose it:
// of N bytes of buffer, as many whole segments as fit, and at most 65535. (If the
// buffer is smaller than one segment, all of it.) With an MSS of 1460 that is
// 64240, with 1440 it is 64800, with 8960 62720. It too is tried against
// larger sizes than the packet's MSS.
//
// WindowS and WindowT are tried against the packet's MSS (and that plus 40) and
// against those of Ethernet, 1460 and 1500. In p0f version 2 the latter count
// only if the window is no multiple of the former; in pf.os either will do, but
// not without an MSS.
type Window struct {
	Rule WindowRule
	N    uint32 // not for WindowAny
}

type windowForm struct {
	prefix   string
	rule     WindowRule
	min, max int
}

// windowForms are the written forms but "*" and the bare number, with the
// bounds of their number.
var windowForms = []windowForm{
	{"%", WindowModulo, 2, 65535},
	{"mss*", WindowMSS, 1, 1000},
	{"mtu*", WindowMTU, 1, 1000},
	{"fit", WindowSegment, 1, 65536},
}

// windowForms2 are those of the older grammars.
var windowForms2 = []windowForm{
	{"%", WindowModulo, 1, 65535},
	{"S", WindowS, 1, 1000},
	{"s", WindowS, 1, 1000},
	{"T", WindowT, 1, 1000},
	{"t", WindowT, 1, 1000},
}

func parseWindow(field string) (Window, error) {
	return parseWindowAs(field, windowForms, "%N, mss*N, mtu*N, fitN")
}

func parseWindow2(field string) (Window, error) {
	return parseWindowAs(field, windowForms2, "%N, SN, TN")
}

func parseWindowAs(field string, forms []windowForm, names string) (Window, error) {
	if field == "*" {
		return Window{}, nil
	}
	for _, form := range forms {
		if n, ok := strings.CutPrefix(field, form.prefix); ok {
			v, err := parseNumber(n, form.min, form.max)
			return Window{form.rule, uint32(v)}, err
		}
	}
	if field == "" || field[0] < '0' || field[0] > '9' {
		return Window{}, fmt.Errorf("want *, a number, or one of %s, not %q", names, field)
	}
	v, err := parseNumber(field, 0, 65535)
	return Window{WindowValue, uint32(v)}, err
}

// String gives the form signatures are written in.
func (w Window) String() string { return w.as(windowForms) }

// string2 gives the form of the older grammars.
func (w Window) string2() string { return w.as(windowForms2) }

func (w Window) as(forms []windowForm) string {
	if w.Rule == WindowAny {
		return "*"
	}
	n := strconv.FormatUint(uint64(w.N), 10)
	for _, form := range forms {
		if form.rule == w.Rule {
			return form.prefix + n
		}
	}
	return n
}

// unclamped are MSS values that hosts compute from the MTU of their own link:
// it less the headers of IPv4 (40 bytes) and of IPv6 (60). A router that lowers the MSS
// option on the way makes them smaller and never larger.
var unclamped = [...]uint16{
	8961, 8941, // 9001, Amazon's network
	8960, 8940, // 9000, jumbo frames
	1464,       // 1504
	1460, 1440, // 1500, Ethernet
	1452, 1432, // 1492, PPPoE
	1436, // 1476, GRE
	1420, // 1460 (Google Cloud), 1480 (6in4)
	1414, // 1454
	1412, // 1452
	1410, // 1450, VXLAN
	1400, // 1440, 1460
	1390, // 1450
	1380, // 1420 (WireGuard), 1440
	1360, // 1400 (many VPNs), 1420
	1340, // 1400
	1240, // 1280, the least that IPv6 allows
	1220, // 1280
}

// fits are the windows that WindowSegment gives for each of unclamped.
type fits [len(unclamped)]uint16

func newFits(space uint32) *fits {
	var f fits
	for i, mss := range unclamped {
		f[i] = fit(space, mss)
	}
	return &f
}

// fit is the window of a stack that offers as many whole segments as fit
// into space bytes.
func fit(space uint32, mss uint16) uint16 {
	if space > uint32(mss) && mss > 0 {
		space -= space % uint32(mss)
	}
	return uint16(min(space, 65535))
}

// segmentWindow tests WindowSegment.
func (f *features) segmentWindow(space uint32, known *fits) bool {
	const largest = uint32(8961)
	window := uint32(f.window)
	if f.mss == 0 || window > space {
		return false
	}
	// Whatever the segment's size, less than one of them is missing; this
	// spares the division for nearly all that does not fit.
	missing := space - window
	if missing >= largest && missing >= uint32(f.mss) {
		return false
	}
	if fit(space, f.mss) == f.window {
		return true
	}
	for i, mss := range unclamped {
		if mss >= f.mss && known[i] == f.window {
			return true
		}
	}
	return false
}

// Sizes that a window may be a multiple of whatever the MSS option says:
// Ethernet's 1500 bytes less headers, without and with timestamps.
const (
	ethernetMTU    = 1500
	ethernetMSS4   = 1460
	ethernetMSS6   = 1440
	timestampsSize = 12
)

// leastMSS is the smallest MSS of which a window is taken to be a multiple;
// below, any window would be.
const leastMSS = 100

// multipleWindow tests WindowMSS and WindowMTU: with the bases of mssBases and
// mtuBases, the likeliest first.
func (f *features) multipleWindow(w Window) bool {
	window, n, mss := uint32(f.window), w.N, uint32(f.mss)
	switch {
	case mss < leastMSS:
		return false
	case w.Rule == WindowMSS:
		return mss*n == window || ethernetMSS4*n == window ||
			f.six != 0 && (ethernetMSS6*n == window || (ethernetMSS6-timestampsSize)*n == window) ||
			f.tsval && (mss-timestampsSize)*n == window ||
			(ethernetMSS4-timestampsSize)*n == window
	}
	return (mss+headers4)*n == window || (mss+uint32(f.headers))*n == window ||
		f.six != 0 && (mss+headers6)*n == window ||
		ethernetMTU*n == window
}

// multipleWindow2 tests WindowS and WindowT.
func (f *features) multipleWindow2(w Window, exclusive bool) bool {
	window, own, ethernet := uint32(f.window), uint32(f.mss), uint32(ethernetMSS4)
	if w.Rule == WindowT {
		own, ethernet = own+headers4, ethernetMTU
	}
	switch {
	case f.mss == 0 && !exclusive:
		return false
	case f.mss != 0 && own*w.N == window:
		return true
	case f.mss != 0 && exclusive && window%own == 0:
		return false
	}
	return ethernet*w.N == window
}

// possible reports whether a packet of some MSS that has this window may fit.
func (w Window) possible(window uint16) bool {
	n := uint32(window)
	switch w.Rule {
	case WindowAny:
		return true
	case WindowValue:
		return n == w.N
	case WindowSegment:
		// What is left of the space is less than a segment, and so than the half.
		return n <= w.N && (n > w.N/2 || n == w.N)
	default:
		return n%w.N == 0
	}
}

// usual gives the windows of rules at the usual sizes of a segment.
func (w Window) usual() []uint16 {
	var windows []uint16
	add := func(size uint32) {
		if n := size * w.N; n < 1<<16 {
			windows = append(windows, uint16(n))
		}
	}
	for _, mss := range unclamped {
		switch w.Rule {
		case WindowSegment:
			windows = append(windows, fit(w.N, mss))
		case WindowMSS, WindowS:
			add(uint32(mss))
			add(uint32(mss) - timestampsSize)
		case WindowMTU, WindowT:
			add(uint32(mss) + headers4)
		}
	}
	return windows
}

// mssBases are the sizes that "mss*N" is tried against, in the order in
// which Observe prefers them; zeros hold no size.
func (f *features) mssBases() [6]uint32 {
	mss := uint32(f.mss)
	bases := [6]uint32{mss, 0, ethernetMSS4, ethernetMSS4 - timestampsSize}
	if f.tsval {
		bases[1] = mss - timestampsSize
	}
	if f.six != 0 {
		bases[4], bases[5] = ethernetMSS6, ethernetMSS6-timestampsSize
	}
	return bases
}

// mtuBases are the sizes that "mtu*N" is tried against.
func (f *features) mtuBases() [4]uint32 {
	mss := uint32(f.mss)
	bases := [4]uint32{mss + headers4, mss + uint32(f.headers), 0, ethernetMTU}
	if f.six != 0 {
		bases[2] = mss + headers6
	}
	return bases
}

// observedWindow gives the window as a multiple, if it is one of the sizes
// that stacks start from.
func (f *features) observedWindow() Window {
	window := uint32(f.window)
	if window > 0 && f.mss >= leastMSS {
		for _, base := range f.mssBases() {
			if base != 0 && window%base == 0 {
				return Window{WindowMSS, window / base}
			}
		}
		for _, base := range f.mtuBases() {
			if base != 0 && window%base == 0 {
				return Window{WindowMTU, window / base}
			}
		}
	}
	return Window{WindowValue, window}
}

// observedWindow2 is observedWindow for the older grammars.
func (f *features) observedWindow2() Window {
	window, mss := uint32(f.window), uint32(f.mss)
	if window > 0 && mss >= leastMSS {
		for _, base := range []struct {
			rule WindowRule
			size uint32
		}{{WindowS, mss}, {WindowS, ethernetMSS4}, {WindowT, mss + headers4}, {WindowT, ethernetMTU}} {
			if window%base.size == 0 {
				return Window{base.rule, window / base.size}
			}
		}
	}
	return Window{WindowValue, window}
}
