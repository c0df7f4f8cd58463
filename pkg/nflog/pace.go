package nflog

import "time"

// busyRate and calmRate are rates in packets per second: packets are delivered in
// batches above busyRate, until the rate is below calmRate. paceWindow is how long a
// rate is measured. The rates are far enough apart that no constant rate switches
// back and forth. At busyRate a batch of 32 packets is full after 3 ms, and single
// packets would take 3 % of a processor.
const (
	busyRate   = 10_000
	calmRate   = 2_000
	paceWindow = 50 * time.Millisecond
)

// pace decides whether packets are delivered one by one or in batches. Its zero value
// is ready to use, and not busy.
type pace struct {
	busy    bool
	began   time.Time // beginning of the window
	packets uint64    // number of packets at that time
}

// observe takes the number of packets received until now, and returns whether busy has
// changed.
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
