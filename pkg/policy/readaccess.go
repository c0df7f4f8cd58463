package policy

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"time"

	"nftknock/pkg/port"
)

// Bounds of an access.
const (
	maxSourceItems = 1024
	maxOpenPorts   = 1024
	maxRegexp      = 1024

	// minTimeout: the kernel is told a timeout in milliseconds and takes 0 for none
	// (nf_msecs_to_jiffies64); a second is far enough from there. maxTimeout: a service that is to be open for
	// longer than a day needs a firewall rule and no knock.
	minTimeout = time.Second
	maxTimeout = 24 * time.Hour

	maxLimit = 1_000_000_000

	// Shorter prefixes than these hold more than the pool of one network operator.
	minPrefix4, minPrefix6 = 8, 16
)

// accessName is safe as a metric's label, in a log line, and in the comment of
// a set's element, which nft cannot read back if it holds a quote.
var accessName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

// readAccess reads one [[access]]. What it returns is only of use if no error
// was reported.
func readAccess(t *table) *Access {
	// Which other keys there can be depends on the kind, so it is read first.
	kind := KindShared
	known := !t.has("knock") || choice(t, "knock", &kind, words[Kind]{known: kinds})
	access := defaultAccess(kind)
	a := &access
	a.Pos = t.at()
	readName(t, &a.Name)
	t.boolean("enabled", &a.Enabled)
	readSource(t, &a.Source)
	readOpen(t, &a.Open)
	t.duration("timeout", &a.Timeout, minTimeout, maxTimeout)
	integer(t, "limit", &a.Limit, bounds{1, maxLimit})
	t.boolean("single_use", &a.SingleUse)
	readPrefix(t, "prefix4", &a.Prefix4, bounds{minPrefix4, 32})
	readPrefix(t, "prefix6", &a.Prefix6, bounds{minPrefix6, 128})
	t.date("expires", &a.Expires)
	if known {
		readKnock(t, a)
		readForward(t, a)
	} else {
		// Whether they are right depends on the kind; one error is enough.
		t.reported = append(keysOfKinds(), forwardKeys...)
	}
	t.finish()
	return a
}

// readKnock reads the keys of the kind of the access.
func readKnock(t *table, a *Access) {
	// First, so that the readers can tell that a key was reported already.
	refuseOthers(t, a.Kind)
	switch a.Kind {
	case KindShared:
		readShared(t, a)
	case KindEncrypted:
		readEncrypted(t, a)
	case KindTOTP:
		readTOTP(t, a)
	case KindSPA:
		readSPA(t, a)
	}
}

// readPrefix reads the length of a prefix. The greatest one, that of a single
// address, is the same as none.
func readPrefix(t *table, key string, dst *int, within bounds) {
	if integer(t, key, dst, within) && int64(*dst) == within.most {
		*dst = 0
	}
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
	f, err := newSourceFilter(items)
	if err != nil {
		t.refuse(t.valueAt("source"), err)
		return
	}
	*dst = f
}

func readOpen(t *table, dst *[]port.Range) {
	const want = `want what the knock opens, such as open = ["tcp/22"]`
	if !t.has("open") {
		t.fail(t.at(), "this access opens nothing", want)
		return
	}
	var services []port.Range
	if !list(t, "open", &services, port.ParseService) {
		return
	}
	// Bounded by ports and not by items, since the rules that compare services with
	// knock ports look at every port.
	ports := 0
	for _, s := range services {
		ports += s.Ports()
	}
	switch {
	case ports == 0:
		t.fail(t.valueAt("open"), "this access opens nothing", want)
		return
	case ports > maxOpenPorts:
		t.fail(t.valueAt("open"), fmt.Sprintf("this access opens %d ports", ports), fmt.Sprintf("the limit is %d per access", maxOpenPorts))
		return
	}
	// Two elements for one port would be two grants, of which one ends first.
	for i, s := range services {
		for _, other := range services[:i] {
			if other.Overlaps(s) {
				t.fail(t.itemAt("open", i), fmt.Sprintf("%s is also in %s", s, other), "remove one of the two")
				break
			}
		}
	}
	*dst = services
}

// readOS reads what a knock with SYNs may require of them.
func readOS(t *table, a *Access) {
	readRequireOS(t, &a.RequireOS)
	choice(t, "os_confidence", &a.OSConfidence, words[OSConfidence]{known: []OSConfidence{ConfidenceHigh, ConfidenceLow}})
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
