package p0f

import (
	"fmt"
	"strconv"
	"strings"
)

// WindowRule is the condition that a signature sets for the window.
type WindowRule uint8

// The rules, how they are written, and which windows fit.
const (
	WindowAny     WindowRule = iota // "*": any
	WindowValue                     // "8192": 8192
	WindowModulo                    // "%8192": a multiple of 8192
	WindowMSS                       // "mss*4": 4 times the MSS
	WindowMTU                       // "mtu*4": 4 times the MTU
	WindowSegment                   // "fit65536": the largest multiple of the MSS up to 65536
	WindowS                         // "S4", in the older grammars: 4 times the MSS
	WindowT                         // "T4", likewise: 4 times the MTU
)

// Window is the window field of a signature.
//
// WindowMSS and WindowMTU are tried with the packet's MSS and with the sizes on
// Ethernet, because a router on the path may lower the MSS option after the sender
// has computed the window.
//
// WindowSegment ("fit65536") is the window of Linux since 4.20 and of Windows since
// 10: as many whole segments as fit into N bytes of buffer, and at most 65535. (If
// the buffer is smaller than one segment, all of it.) With an MSS of 1460 that is
// 64240, with 1440 it is 64800, with 8960 it is 62720. It too is tried with sizes
// that are larger than the packet's MSS.
//
// WindowS and WindowT are tried with the packet's MSS (for WindowT plus 40) and with
// the sizes on Ethernet, 1460 and 1500. In p0f version 2 the latter are tried only if
// the window is not a multiple of the former; in pf.os either may fit, but a packet
// without an MSS does not.
type Window struct {
	Rule WindowRule
	N    uint32 // not for WindowAny
}

type windowForm struct {
	prefix   string
	rule     WindowRule
	min, max int
}

// windowForms are the written forms except for "*" and the bare number, with the
// bounds of their number.
var windowForms = []windowForm{
	{"%", WindowModulo, 2, 65535},
	{"mss*", WindowMSS, 1, 1000},
	{"mtu*", WindowMTU, 1, 1000},
	{"fit", WindowSegment, 1, 65536},
}

// windowForms2 are the forms of the older grammars.
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

// String returns the form signatures are written in.
func (w Window) String() string { return w.as(windowForms) }

// string2 returns the form of the older grammars.
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

// unclamped are MSS values that hosts compute from the MTU of their own link: the MTU
// minus the headers of IPv4 and TCP (40 bytes) or of IPv6 and TCP (60). A router that
// changes the MSS option on the path only lowers it.
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
	1240, // 1280, the smallest that IPv6 allows (RFC 8200, section 5)
	1220, // 1280
}

// fits holds the window of a WindowSegment for each MSS of unclamped.
type fits [len(unclamped)]uint16

func newFits(space uint32) *fits {
	var f fits
	for i, mss := range unclamped {
		f[i] = fit(space, mss)
	}
	return &f
}

// fit returns the window of a system that offers as many whole segments as fit into
// space bytes.
func fit(space uint32, mss uint16) uint16 {
	if space > uint32(mss) && mss > 0 {
		space -= space % uint32(mss)
	}
	return uint16(min(space, 65535))
}

// segmentWindow reports whether the window fits a WindowSegment of space bytes; known
// is newFits(space).
func (f *features) segmentWindow(space uint32, known *fits) bool {
	const largest = uint32(8961) // of unclamped
	window := uint32(f.window)
	if f.mss == 0 || window > space {
		return false
	}
	// fit leaves less than one segment of the space unused. This test refuses
	// nearly every packet that does not fit before a division is needed.
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

// Sizes of which a window may be a multiple, whatever the MSS option says: the MTU of
// Ethernet, and it minus the headers. timestampsSize is the size of the timestamps
// option and two NOPs, which every segment carries if timestamps are in use.
const (
	ethernetMTU    = 1500
	ethernetMSS4   = 1460
	ethernetMSS6   = 1440
	timestampsSize = 12
)

// leastMSS is the smallest MSS that WindowMSS and WindowMTU accept: too many windows
// are by chance a multiple of a smaller one.
const leastMSS = 100

// multipleWindow reports whether the window fits a WindowMSS or WindowMTU. It tries
// the sizes of mssBases and mtuBases, the most likely first.
func (f *features) multipleWindow(w Window) bool {
	// No product overflows: n is at most 1000 and a size at most 65535 plus headers.
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

// multipleWindow2 reports whether the window fits a WindowS or WindowT. exclusive is
// set for p0f version 2; see Window.
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

// possible reports whether a packet with this window can fit, whatever its MSS. It
// may return true for some that cannot.
func (w Window) possible(window uint16) bool {
	n := uint32(window)
	switch w.Rule {
	case WindowAny:
		return true
	case WindowValue:
		return n == w.N
	case WindowSegment:
		// The unused rest, space modulo MSS, is always less than half of the space.
		return n <= w.N && (n > w.N/2 || n == w.N)
	default:
		return n%w.N == 0
	}
}

// usual returns the windows that a rule yields at the usual sizes of a segment.
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

// mssBases returns the sizes that "mss*N" is tried with, in the order in which
// Observe prefers them; zeros are to be skipped.
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

// mtuBases is mssBases for "mtu*N".
func (f *features) mtuBases() [4]uint32 {
	mss := uint32(f.mss)
	bases := [4]uint32{mss + headers4, mss + uint32(f.headers), 0, ethernetMTU}
	if f.six != 0 {
		bases[2] = mss + headers6
	}
	return bases
}

// observedWindow returns the window as a multiple of one of mssBases or mtuBases if
// it is one, else as a number.
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
