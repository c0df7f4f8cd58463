package event

import (
	"log/slog"

	"nftknock/pkg/wording"
)

// Omitted: events had no line because of the limits, and no line of their access has counted
// them yet. Only Dispatcher.EmitOmitted makes it, once per class of events.
type Omitted struct {
	Count int
	class class
}

// omittedNames are how a line names the events of a class.
var omittedNames = [numClasses]string{
	grantLines: "granted knocks",
	refusals:   "refused knocks",
	strays:     "refused single packets",
	failures:   "failures",
	ends:       "ends of grants",
	repairs:    "repairs of the table and of NFLOG",
}

// Line implements Event.
func (e Omitted) Line() Line {
	line := Line{"omitted", slog.LevelInfo, wording.Count(e.Count, "line", "lines") + " about " + omittedNames[e.class] +
		" left out, because there were too many", []slog.Attr{slog.Int("omitted", e.Count)}}
	if e.class == strays { // as their own lines
		line.Level = slog.LevelDebug
	}
	return line
}

// EmitOmitted emits an Omitted for each class of events with lines that were left out and
// not counted by a later line. Without it, the end of a flood would not be counted before
// the next event of each access.
func (d *Dispatcher) EmitOmitted() {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.now()
	for c, n := range d.limits.flush() {
		if n > 0 {
			d.consume(Record{Event: Omitted{n, class(c)}, Time: at, Logged: true})
		}
	}
}
