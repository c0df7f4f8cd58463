package links

import "fmt"

// Kind is the kind of a Problem.
type Kind string

// The kinds of problems.
const (
	Missing  Kind = "missing"  // no interface ever had the listed name
	Gone     Kind = "gone"     // the interface with the listed name was removed
	Renamed  Kind = "renamed"  // the interface with the listed name has another name now
	Taken    Kind = "taken"    // as Renamed, and another interface has the listed name
	Loopback Kind = "loopback" // the listed name is that of the loopback interface
	Odd      Kind = "odd"      // an interface that is not listed has a name that no rule can hold
)

// A Problem is a reason for which other interfaces are guarded than the policy seems to
// say. Problems are comparable, so that a caller can tell new ones from old ones.
type Problem struct {
	Kind      Kind
	Interface string // the name in the policy; for Odd the name of the interface
	Now       string // the present name of the interface, for Renamed and Taken
}

// Harmless reports whether the problem needs no action.
func (p Problem) Harmless() bool { return p.Kind == Gone }

// String returns a sentence that says what the problem is, what follows from it, and
// what to do.
func (p Problem) String() string {
	switch p.Kind {
	case Missing:
		return fmt.Sprintf("interface %q does not exist: all interfaces but lo are guarded until it does; "+
			"if its name is another one, correct interfaces in the policy", p.Interface)
	case Gone:
		return fmt.Sprintf("interface %q is gone: it is guarded again when it returns, and the others stay as they are", p.Interface)
	case Renamed:
		return fmt.Sprintf("interface %q was renamed to %q: it stays guarded, but after a restart of nftknockd all interfaces but lo are; "+
			"list %q in interfaces instead", p.Interface, p.Now, p.Now)
	case Taken:
		return fmt.Sprintf("interface %q was renamed to %q, and another one is called %q: both are guarded, but after a restart of nftknockd only %q is; "+
			"list %q in interfaces too if it is to stay guarded", p.Interface, p.Now, p.Interface, p.Interface, p.Now)
	case Loopback:
		return fmt.Sprintf("interface %q is the loopback interface, which is never guarded: local users reach all services; "+
			"remove it from interfaces", p.Interface)
	case Odd:
		return fmt.Sprintf("interface %q is guarded although it is not listed: rules cannot have a name with such characters; "+
			"give it one of letters and digits if it is not to be guarded", p.Interface)
	}
	panic("links: unknown kind of problem: " + string(p.Kind))
}
