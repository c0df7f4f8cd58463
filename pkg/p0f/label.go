package p0f

import (
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
)

// String returns "os" or "tool".
func (c Class) String() string {
	if c == Tool {
		return "tool"
	}
	return "os"
}

// Label names a sender.
type Label struct {
	Class Class
	// Family is in lower case: "linux", "windows", "apple", "bsd" and so on;
	// for a tool its name.
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
