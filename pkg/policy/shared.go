package policy

import (
	"fmt"
	"slices"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Bounds of a knock's timing.
const (
	minWithin = time.Millisecond
	// maxWithin bounds how long a half-done knock is remembered.
	maxWithin = time.Hour
	// maxReorder: packets within this time may come in any order, so with a longer
	// one a scan in any order could pass.
	maxReorder = time.Second
)

// readShared reads the keys of a shared sequence.
func readShared(t *table, a *Access) {
	sequenceRead := list(t, "sequence", &a.Sequence, port.ParseKnock)
	before := len(*t.doc.diags)
	t.duration("within", &a.Within, minWithin, maxWithin)
	t.duration("min_interval", &a.MinInterval, 0, maxWithin)
	// Without max_interval the whole knock's time is the bound.
	a.MaxInterval = a.Within
	t.duration("max_interval", &a.MaxInterval, time.Millisecond, maxWithin)
	t.duration("reorder", &a.Reorder, 0, maxReorder)
	// Rules that compare two durations make no sense if one of them is missing.
	timingRead := len(*t.doc.diags) == before
	readOS(t, a)
	// With keys of another kind it is the key "knock" that is missing, which
	// refuseOthers has said.
	if !t.has("sequence") && (t.has("knock") || len(t.reported) == 0) {
		t.fail(t.at(), "this access has no sequence", `a shared knock needs one, such as sequence = ["tcp/50053", "udp/6020", "icmp"]`)
	}
	if sequenceRead {
		checkSequence(t, a)
	}
	if timingRead {
		checkIntervals(t, a)
	}
}

func checkSequence(t *table, a *Access) {
	n := len(a.Sequence)
	if n < knock.MinSequence || n > knock.MaxSequence {
		t.fail(t.valueAt("sequence"), fmt.Sprintf("bad sequence length %d", n),
			fmt.Sprintf("want %d to %d elements", knock.MinSequence, knock.MaxSequence))
	}
	// p0f's signatures are of SYNs: neither UDP nor ICMP has one.
	if t.has("require_os") && !slices.ContainsFunc(a.Sequence, isTCP) {
		t.fail(t.keyAt("require_os"), "require_os can never match: the sequence has no tcp element, and only a SYN has a fingerprint",
			"add a tcp element or remove require_os")
	}
}

func isTCP(e port.Range) bool { return e.Protocol == packet.TCP }

// checkIntervals refuses times that no knock can keep to.
func checkIntervals(t *table, a *Access) {
	// A sequence that could not be read is taken for the shortest one.
	steps := time.Duration(max(len(a.Sequence)-1, 1))
	switch least := a.MinInterval * steps; {
	case t.has("max_interval") && a.MinInterval > a.MaxInterval:
		t.fail(t.valueAt("min_interval"), fmt.Sprintf("min_interval %s is above max_interval %s", wording.Duration(a.MinInterval), wording.Duration(a.MaxInterval)),
			"want at most "+wording.Duration(a.MaxInterval))
	case least > a.Within:
		t.fail(t.valueAt("min_interval"), fmt.Sprintf("no knock can be in time: %d intervals of at least %s take %s, within is %s",
			steps, wording.Duration(a.MinInterval), wording.Duration(least), wording.Duration(a.Within)),
			fmt.Sprintf("want within at least %s or a smaller min_interval", wording.Duration(least)))
	}
}
