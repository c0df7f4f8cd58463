package links

import "fmt"

// Kind tells problems apart.
type Kind string

// The kinds of problems.
const (
	Missing  Kind = "missing"  // a listed name that was never seen
	Gone     Kind = "gone"     // a listed name whose interface is gone
	Renamed  Kind = "renamed"  // a listed name whose interface has another one now
	Taken    Kind = "taken"    // the same, and another interface has the name
	Loopback Kind = "loopback" // a listed name of the loopback interface
	Odd      Kind = "odd"      // a name, not listed, that no rule can have
)

// A Problem is a name by which something else is guarded than the policy seems
// to say. Problems are comparable: one that was there before is no news.
type Problem struct {
	Kind      Kind
	Interface string // as the policy lists it, but for Odd
	Now       string // what it is called now, if it is Renamed or Taken
}

// Harmless reports whether nobody needs to do anything.
func (p Problem) Harmless() bool { return p.Kind == Gone }

// String is a sentence: what is so, what follows, and what to do.
func (p Problem) String() string {
	switch p.Kind {
	case Missing:
		return fmt.Sprintf("interface %q is not there: all interfaces but lo are guarded until it is; "+
			"if its name is another one, correct interfaces in the policy", p.Interface)
	case Gone:
		return fmt.Sprintf("interface %q is gone: it is guarded again when it is back, and the others stay as they are", p.Interface)
	case Renamed:
		return fmt.Sprintf("interface %q is called %q now: it stays guarded, but after a restart of nftknockd all interfaces but lo are; "+
			"list %q in interfaces instead", p.Interface, p.Now, p.Now)
	case Taken:
		return fmt.Sprintf("interface %q is called %q now, and another one is called %q: both are guarded, but after a restart of nftknockd only %q is; "+
			"list %q in interfaces too if it is to stay guarded", p.Interface, p.Now, p.Interface, p.Interface, p.Now)
	case Loopback:
		return fmt.Sprintf("interface %q is the loopback interface, which is never guarded: local users reach all services; "+
			"take it out of interfaces", p.Interface)
	case Odd:
		return fmt.Sprintf("interface %q is guarded although it is not listed: rules cannot have a name with such characters; "+
			"give it one of letters and digits if it is not to be guarded", p.Interface)
	}
	panic("links: unknown kind of problem: " + string(p.Kind))
}
