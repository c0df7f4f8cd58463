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
type Window struct {
	Rule WindowRule
	N    uint32 // not for WindowAny
}

// windowForms are the written forms but "*" and the bare number, with the
// bounds of their number.
var windowForms = []struct {
	prefix   string
	rule     WindowRule
	min, max int
}{
	{"%", WindowModulo, 2, 65535},
	{"mss*", WindowMSS, 1, 1000},
	{"mtu*", WindowMTU, 1, 1000},
	{"fit", WindowSegment, 1, 65536},
}

func parseWindow(field string) (Window, error) {
	if field == "*" {
		return Window{}, nil
	}
	for _, form := range windowForms {
		if n, ok := strings.CutPrefix(field, form.prefix); ok {
			v, err := parseNumber(n, form.min, form.max)
			return Window{form.rule, uint32(v)}, err
		}
	}
	if field == "" || field[0] < '0' || field[0] > '9' {
		return Window{}, fmt.Errorf("want *, a number, or one of %%N, mss*N, mtu*N, fitN, not %q", field)
	}
	v, err := parseNumber(field, 0, 65535)
	return Window{WindowValue, uint32(v)}, err
}

// String gives the form signatures are written in.
func (w Window) String() string {
	if w.Rule == WindowAny {
		return "*"
	}
	n := strconv.FormatUint(uint64(w.N), 10)
	for _, form := range windowForms {
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
	8960, 8940, // 9000, jumbo frames
	1460, 1440, // 1500, Ethernet
	1452, 1432, // 1492, PPPoE
	1420, // 1460 (Google Cloud), 1480 (6in4)
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
	const largest = uint32(8960)
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
	bases := [4]uint32{mss + 40, mss + uint32(f.headers), 0, ethernetMTU}
	if f.six != 0 {
		bases[2] = mss + 60
	}
	return bases
}

// multipleWindow tests WindowMSS and WindowMTU.
func (f *features) multipleWindow(w Window) bool {
	window := uint32(f.window)
	// The bases lie between these; most rows are done with here.
	least := min(uint32(f.mss), ethernetMSS6) - timestampsSize
	most := max(uint32(f.mss), ethernetMSS4) + 60
	if f.mss < leastMSS || window < least*w.N || window > most*w.N {
		return false
	}
	if w.Rule == WindowMSS {
		for _, base := range f.mssBases() {
			if base != 0 && base*w.N == window {
				return true
			}
		}
		return false
	}
	for _, base := range f.mtuBases() {
		if base != 0 && base*w.N == window {
			return true
		}
	}
	return false
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
