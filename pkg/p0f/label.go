package p0f

import (
	"regexp"
	"slices"
	"strings"
)

// Class is the kind of sender that a label names.
type Class uint8

const (
	// OS is an operating system's own TCP stack.
	OS Class = iota
	// Tool is a scanner or packet crafter that writes SYNs itself. A tool's
	// signature says nothing about the operating system.
	Tool
	// Proxy is a machine that opens connections of its own on behalf of others. Its
	// SYNs say nothing about the client's operating system.
	Proxy
	// Stack is a TCP stack that is no operating system's: an embedded one, or one in
	// user space, as in VPN programs. It says nothing about the system beneath it.
	Stack
)

// classNames are the names of the classes, in their order.
var classNames = [...]string{"os", "tool", "proxy", "stack"}

// String returns "os", "tool", "proxy" or "stack".
func (c Class) String() string { return classNames[c] }

// first reports whether signatures of the class precede those of the others in a
// file: tools and proxies copy systems, or run on one.
func (c Class) first() bool { return c == Tool || c == Proxy }

// Label names a sender.
type Label struct {
	Class Class
	// Family is in lower case: "linux", "windows", "apple", "bsd" and so on;
	// for a tool, a proxy or a stack its name.
	Family string
	// Name and Flavour are for people: "Linux" and "4.19 or newer". Flavour may
	// be empty.
	Name, Flavour string
}

// String returns name and flavour: "Linux 4.19 or newer".
func (l Label) String() string {
	if l.Flavour == "" {
		return l.Name
	}
	return l.Name + " " + l.Flavour
}

// Satisfies reports whether a sender with this label may meet the requirement of an
// operating system, which required is matched with. Tools and proxies never do. A
// stack does only if required has the stack's name in it: a requirement of "linux",
// or one that matches everything, is about systems, and the one beneath a stack is
// unknown.
func (l Label) Satisfies(required *regexp.Regexp) bool {
	if l.Class.first() || !required.MatchString(l.String()) {
		return false
	}
	return l.Class != Stack || names(required.String(), l.Name)
}

// names reports whether the text of a regular expression has a name in it, ignoring
// case.
func names(expression, name string) bool {
	expression = strings.ToLower(expression)
	name = strings.ToLower(name)
	return strings.Contains(expression, name) || strings.Contains(expression, regexp.QuoteMeta(name))
}

// LabelID is a label's index in Database.Labels.
type LabelID uint16

// families maps the beginnings of systems' names to their family. It is needed for
// files whose classes are broader ("unix") or missing.
var families = []struct{ name, family string }{
	{"linux", "linux"}, {"android", "linux"}, {"chromeos", "linux"},
	{"windows", "windows"},
	{"mac os", "apple"}, {"macos", "apple"}, {"ios", "apple"},
	{"freebsd", "bsd"}, {"openbsd", "bsd"}, {"netbsd", "bsd"}, {"dragonfly", "bsd"},
	{"bsd/os", "bsd"},
	{"sunos", "solaris"}, {"solaris", "solaris"}, {"illumos", "solaris"},
}

// tools are the scanners that the older tables list among the systems, their
// grammar having no class for tools.
var tools = []string{"nmap", "nast", "hping", "masscan", "zmap", "scapy"}

// isTool reports whether name is that of a scanner.
func isTool(name string) bool { return slices.Contains(tools, strings.ToLower(name)) }

// isSystem reports whether name begins with that of an operating system.
func isSystem(name string) bool { return familyOf("", name) != "" }

// familyOf returns the family of a system by its name and its class in the file:
// what families has for the name, else the class in lower case.
func familyOf(class, name string) string {
	name = strings.ToLower(name)
	for _, f := range families {
		if strings.HasPrefix(name, f.name) {
			return f.family
		}
	}
	return strings.ToLower(class)
}
