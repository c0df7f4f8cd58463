package nflog

import "time"

// The rates, in packets a second, above which packets are taken in batches
// and below which one by one, and how long a rate is measured. They are far
// enough apart that no steady rate goes back and forth. At the upper rate 32
// packets come together in 3 ms, and one by one they would take 3 % of a
// processor.
const (
	busyRate   = 10_000
	calmRate   = 2_000
	paceWindow = 50 * time.Millisecond
)

// pace decides whether packets are taken one by one or in batches. Its zero
// value is calm and has seen nothing.
type pace struct {
	busy    bool
	began   time.Time // of the window
	packets uint64    // at its beginning
}

// observe is told how many packets came until now, and returns true if busy
// has changed.
func (p *pace) observe(now time.Time, packets uint64) (changed bool) {
	elapsed := now.Sub(p.began)
	if elapsed < paceWindow {
		return false
	}
	rate := float64(packets-p.packets) / elapsed.Seconds()
	p.began, p.packets = now, packets
	was := p.busy
	if was {
		p.busy = rate >= calmRate
	} else {
		p.busy = rate > busyRate
	}
	return p.busy != was
}
