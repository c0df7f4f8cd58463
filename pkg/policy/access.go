package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"time"

	"nftknock/pkg/gate"
	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
)

// Bounds of an access.
const (
	maxSourceItems = 1024
	maxOpenPorts   = 1024
	maxRegexp      = 1024

	// minTimeout: the kernel takes a timeout below its clock's tick for none
	// at all. maxTimeout: whoever needs a door open for longer than a day
	// wants a firewall rule.
	minTimeout = time.Second
	maxTimeout = 24 * time.Hour
	// maxWithin bounds how long a half-done knock is remembered.
	maxWithin = time.Hour
	// maxReorder: within it order does not matter, so a longer one would let
	// a scan in any order pass.
	maxReorder = time.Second
)

// accessName is safe as a metric's label, in a log line, and in the comment of
// a set's element, which nft cannot read back if it holds a quote.
var accessName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// readAccess reads one [[access]]. What it returns is only of use if no error
// was reported.
func readAccess(t *table) Access {
	a := defaultAccess()
	a.Pos = t.at()
	readName(t, &a.Name)
	t.boolean("enabled", &a.Enabled)
	readSource(t, &a.Source)
	readOpen(t, &a.Open)
	t.duration("timeout", &a.Timeout, minTimeout, maxTimeout)
	t.date("expires", &a.Expires)
	readRequireOS(t, &a.RequireOS)
	choice(t, "os_confidence", &a.OSConfidence, []OSConfidence{ConfidenceHigh, ConfidenceLow})

	kindKnown := !t.has("knock")
	if !kindKnown {
		kindKnown = choice(t, "knock", &a.Knock, []Knock{KnockShared}, "encrypted", "totp", "spa")
	}
	readShared(t, &a, kindKnown)
	if kindKnown {
		t.unsupported(laterAccess)
	} else {
		// They belong to that other kind; one error is enough.
		t.later = laterAccess
	}
	t.finish()
	return a
}

func readName(t *table, dst *string) {
	const want = `want at most 64 letters, digits, "-", "_" and ".", the first a letter or digit`
	switch {
	case !t.has("name"):
		t.fail(t.at(), "this access has no name", want)
	case t.text("name", dst) && !accessName.MatchString(*dst):
		t.fail(t.valueAt("name"), "bad name "+quote(*dst), want)
	}
}

func readSource(t *table, dst *SourceFilter) {
	var items []sourceItem
	if !list(t, "source", &items, parseSourceItem) {
		return
	}
	if len(items) > maxSourceItems {
		t.fail(t.valueAt("source"), fmt.Sprintf("source has %d entries", len(items)), fmt.Sprintf("the limit is %d", maxSourceItems))
		return
	}
	var f SourceFilter
	for _, i := range items {
		f.add(i)
	}
	if err := f.check(); err != nil {
		message, hint := split(err)
		t.fail(t.valueAt("source"), message, hint)
		return
	}
	*dst = f
}

func readOpen(t *table, dst *[]gate.Service) {
	const want = `want what the knock opens, such as open = ["tcp/22"]`
	if !t.has("open") {
		t.fail(t.at(), "this access opens nothing", want)
		return
	}
	var services []gate.Service
	if !list(t, "open", &services, gate.ParseService) {
		return
	}
	ports := 0
	for i, s := range services {
		ports += s.Ports()
		for _, other := range services[:min(i, maxOpenPorts)] {
			if other.Protocol == s.Protocol && other.First <= s.Last && s.First <= other.Last {
				t.fail(t.itemAt("open", i), fmt.Sprintf("%s is also in %s", s, other), "remove one of the two")
				break
			}
		}
	}
	switch {
	case ports == 0:
		t.fail(t.valueAt("open"), "this access opens nothing", want)
	case ports > maxOpenPorts:
		t.fail(t.valueAt("open"), fmt.Sprintf("this access opens %d ports", ports), fmt.Sprintf("the limit is %d an access", maxOpenPorts))
	}
	*dst = services
}

func readRequireOS(t *table, dst **regexp.Regexp) {
	var s string
	if !t.text("require_os", &s) {
		return
	}
	const want = `want a regular expression over the label, such as "linux" or "linux|bsd", in Go's (RE2) syntax`
	switch {
	case s == "":
		t.fail(t.valueAt("require_os"), "require_os is empty, which every system matches", "leave it out to require nothing")
		return
	case len(s) > maxRegexp:
		t.fail(t.valueAt("require_os"), fmt.Sprintf("require_os has %d bytes", len(s)), fmt.Sprintf("the limit is %d", maxRegexp))
		return
	}
	// Compiled first without our flag, which the error would show.
	if _, err := regexp.Compile(s); err != nil {
		t.fail(t.valueAt("require_os"), "bad require_os "+quote(s)+": "+regexpReason(err), want)
		return
	}
	re, err := regexp.Compile(ignoreCase + s)
	if err != nil {
		t.fail(t.valueAt("require_os"), "bad require_os "+quote(s)+": "+regexpReason(err), want)
		return
	}
	*dst = re
}

// ignoreCase stands before the expression of every RequireOS.
const ignoreCase = "(?i)"

func regexpReason(err error) string {
	var e *syntax.Error
	if !errors.As(err, &e) {
		return "not a regular expression"
	}
	return e.Code.String()
}

// readShared reads the keys of a shared sequence; without check it marks them
// as known and leaves the rules alone.
func readShared(t *table, a *Access, check bool) {
	sequenceRead := list(t, "sequence", &a.Sequence, knock.ParseElement)
	before := len(*t.doc.diags)
	t.duration("within", &a.Within, time.Millisecond, maxWithin)
	t.duration("min_interval", &a.MinInterval, 0, maxWithin)
	a.MaxInterval = a.Within
	t.duration("max_interval", &a.MaxInterval, time.Millisecond, maxWithin)
	t.duration("reorder", &a.Reorder, 0, maxReorder)
	timingRead := len(*t.doc.diags) == before
	if !check {
		return
	}
	if !t.has("sequence") {
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
	if t.has("require_os") && !slices.ContainsFunc(a.Sequence, isTCP) {
		t.fail(t.keyAt("require_os"), "require_os can never match: the sequence has no tcp element, and only a SYN has a fingerprint",
			"add a tcp element or remove require_os")
	}
}

func isTCP(e knock.Element) bool { return e.Protocol == packet.TCP }

// checkIntervals refuses timing that no knock can meet.
func checkIntervals(t *table, a *Access) {
	steps := time.Duration(max(len(a.Sequence)-1, 1))
	switch least := a.MinInterval * steps; {
	case t.has("max_interval") && a.MinInterval > a.MaxInterval:
		t.fail(t.valueAt("min_interval"), fmt.Sprintf("min_interval %s is above max_interval %s", short(a.MinInterval), short(a.MaxInterval)),
			"want it to be at most that")
	case least > a.Within:
		t.fail(t.valueAt("min_interval"), fmt.Sprintf("no knock can be in time: %d intervals of at least %s take %s, within is %s",
			steps, short(a.MinInterval), short(least), short(a.Within)),
			fmt.Sprintf("want within at least %s or a smaller min_interval", short(least)))
	}
}
