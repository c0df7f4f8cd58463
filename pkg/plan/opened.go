package plan

import (
	"slices"
	"strings"

	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// Opened says what is open to everyone with one policy and is hidden with another, as far as
// the policies tell.
type Opened struct {
	Services   []port.Range // exactly: of a range, the part
	Interfaces []string     // whose packets pass
	// Only are the interfaces that alone are guarded now, and all were before.
	Only []string
	// LeftTo is the mode that leaves all services to other tables, or empty.
	LeftTo policy.Mode
	// Table is the name of the table of before, if it is another now. The start that brings
	// the new one removes it.
	Table string
}

// OpenedBy compares a policy with the one before it.
func OpenedBy(before, after *policy.Policy) Opened {
	var o Opened
	was, is := before.NFTables, after.NFTables
	if was.Table != is.Table {
		o.Table = was.Table
	}
	if was.Mode == policy.ModeGate && is.Mode != policy.ModeGate {
		o.LeftTo = is.Mode
	}
	if was.Mode == policy.ModeGate && is.Mode == policy.ModeGate {
		o.Services = port.Subtract(before.Hidden(), after.Hidden())
		o.Interfaces = noLongerListed(was.Interfaces, is.Interfaces)
		if len(was.Interfaces) == 0 {
			o.Only = is.Interfaces
		}
	}
	return o
}

// noLongerListed returns the interfaces that a list names and a later one does not. An empty
// list names all: what is not guarded then, only the host's interfaces tell.
func noLongerListed(before, after []string) (gone []string) {
	if len(after) == 0 {
		return nil
	}
	for _, name := range before {
		if !slices.Contains(after, name) {
			gone = append(gone, name)
		}
	}
	return gone
}

// Notes returns a sentence for each service and interface.
func (o Opened) Notes() []string {
	var notes []string
	for _, s := range o.Services {
		notes = append(notes, NoLongerHidden(s))
	}
	for _, name := range o.Interfaces {
		notes = append(notes, NoLongerGuarded(name))
	}
	if len(o.Only) > 0 {
		notes = append(notes, "all interfaces were guarded, now only "+strings.Join(o.Only, ", ")+": whoever comes through another reaches all services")
	}
	if o.LeftTo != "" {
		notes = append(notes, "services are no longer hidden by this table: with mode \""+string(o.LeftTo)+"\" other tables must hide them")
	}
	if o.Table != "" {
		notes = append(notes, "table inet "+o.Table+" of the policy before is removed when the daemon starts, and the grants in it end")
	}
	return notes
}

// NoLongerHidden is the sentence about a service.
func NoLongerHidden(s port.Range) string {
	return s.String() + " is no longer hidden: this table lets everyone reach it"
}

// NoLongerGuarded is the sentence about an interface.
func NoLongerGuarded(name string) string {
	return "interface " + name + " is no longer guarded: whoever comes through it reaches all services"
}
