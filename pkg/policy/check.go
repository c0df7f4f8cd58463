package policy

import (
	"time"

	"nftknock/pkg/port"
)

// A Review is what Check looks at besides the policy's text. The zero value opens keys and
// databases and knows nothing of the host.
type Review struct {
	// Host is what is known of the host on which the policy is to run.
	Host Host
	// TextOnly: neither keys nor databases are opened, and owner and mode of the policy's
	// files do not matter: the policy is to run on another host.
	TextOnly bool
	// Replace has files whose text stands in for that of policy files, by the paths of these
	// (see Replacements). Their owners and modes do not matter.
	Replace map[string]string
}

// Host is what is known of a host, for warnings. The zero value knows nothing.
type Host struct {
	Interfaces []Interface
	// Listening are the ports on which the host listens (see PortsInUse), nil if unknown.
	Listening map[port.Range]bool
	// Unfiltered reports whether it is known that nothing but a table of this name drops
	// packets to the host; nil if nothing is known.
	Unfiltered func(table string) bool
}

// Inspect is Load for commands that run without the rights of the daemon: a key file or
// database that cannot be read for lack of permission gives a warning, and a Policy without
// that key, and so does a credential where none were passed.
func Inspect(path string) (*Policy, Diagnostics) { return Check(path, Review{}) }

// Check is Inspect with a Review: it warns of what the host, as far as it is known, makes of
// the policy.
func Check(path string, r Review) (*Policy, Diagnostics) {
	l := newLoader(time.Now(), &r.Host)
	l.review, l.lenient = r, true
	if r.TextOnly {
		l.read(path)
	} else {
		l.load(path)
	}
	return l.result()
}
