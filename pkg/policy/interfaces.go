package policy

import "slices"

// An Interface is one of the host's, as far as a policy is concerned.
type Interface struct {
	Name     string
	AltNames []string // other names that `ip` accepts
	Master   string   // the bridge, bond, team or VRF that it is part of; "" for none
}

// warnInterfaces warns of listed interfaces by which something else is guarded
// than the list says.
func warnInterfaces(t *table, listed []string, host []Interface) {
	// Every host has at least lo: none means that nobody has looked.
	if len(host) == 0 {
		return
	}
	for i, name := range listed {
		warn := func(message, hint string) {
			t.warn(t.itemAt("interfaces", i), message, hint)
			t.code(CodeHost)
		}
		h, alternative := findInterface(name, host)
		switch {
		case name == loopback || h.Name == loopback:
			warn("interface "+quote(name)+" is never guarded: local users reach all services",
				"remove it; an empty list guards all interfaces but lo")
		case h.Name == "":
			warn("interface "+quote(name)+" does not exist: all interfaces but lo are guarded until it does", otherInterface(name, host))
		case alternative && !slices.Contains(listed, h.Name):
			warn(quote(name)+" is an alternative name of interface "+quote(h.Name)+", which is guarded",
				"want "+quote(h.Name)+": it has that name from the start")
		}
		// The interface of a packet that came in by a port of a bridge or bond is the
		// bridge or bond.
		if h.Master != "" && !slices.Contains(listed, h.Master) {
			warn("interface "+quote(name)+" is part of "+quote(h.Master)+", from which its packets come: all of that is guarded",
				"list "+quote(h.Master)+" too if that is meant")
		}
	}
}

const loopback = "lo"

// findInterface returns the interface of that name, the zero value if there is
// none, and whether the name is an alternative one.
func findInterface(name string, host []Interface) (h Interface, alternative bool) {
	for _, h := range host {
		if h.Name == name || slices.Contains(h.AltNames, name) {
			return h, h.Name != name
		}
	}
	return Interface{}, false
}

// otherInterface is a hint for who lists an interface that is not there.
func otherInterface(name string, host []Interface) string {
	var names []string
	for _, h := range host {
		names = append(append(names, h.Name), h.AltNames...)
	}
	if near := nearest(name, names); near != "" {
		return "did you mean " + quote(near) + "?"
	}
	return `"ip link" shows those that are there`
}
