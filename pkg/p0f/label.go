package p0f

import (
	"slices"
	"strings"
)

// Class says what kind of sender a label names.
type Class uint8

const (
	// OS is an operating system's own TCP stack.
	OS Class = iota
	// Tool is a scanner or packet crafter that writes SYNs by itself. Whatever
	// it resembles, it never stands for an operating system.
	Tool
)

// String gives "os" or "tool".
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
	// Name and Flavour are what people read: "Linux" and "4.20 or newer".
	// Flavour may be empty.
	Name, Flavour string
}

// String gives name and flavour: "Linux 4.20 or newer".
func (l Label) String() string {
	if l.Flavour == "" {
		return l.Name
	}
	return l.Name + " " + l.Flavour
}

// LabelID is a label's index in Database.Labels.
type LabelID uint16

// families maps the names of systems to their family. It is asked for files
// whose classes are broader ("unix") or missing.
var families = []struct{ name, family string }{
	{"linux", "linux"}, {"android", "linux"}, {"chromeos", "linux"},
	{"windows", "windows"},
	{"mac os", "apple"}, {"macos", "apple"}, {"ios", "apple"},
	{"freebsd", "bsd"}, {"openbsd", "bsd"}, {"netbsd", "bsd"}, {"dragonfly", "bsd"},
	{"bsd/os", "bsd"},
	{"sunos", "solaris"}, {"solaris", "solaris"}, {"illumos", "solaris"},
}

// tools are the scanners that stand among the systems in tables whose grammar has
// no word for them.
var tools = []string{"nmap", "nast", "hping", "masscan", "zmap", "scapy"}

// isTool reports whether name is that of a scanner.
func isTool(name string) bool { return slices.Contains(tools, strings.ToLower(name)) }

// familyOf gives the family of a system named name whose file puts it into
// class: that of the name where it is known, else the class.
func familyOf(class, name string) string {
	name = strings.ToLower(name)
	for _, f := range families {
		if strings.HasPrefix(name, f.name) {
			return f.family
		}
	}
	return strings.ToLower(class)
}
