package client

import (
	"fmt"
	"strings"

	"nftknock/pkg/spa"
)

// stanzas are those of ~/.fwknoprc while they are read. One may be there in
// several parts, as fwknop has it; later values are put in the place of earlier
// ones.
type stanzas struct {
	list []stanza
	last int // the one being read
}

type stanza struct {
	name  string
	line  int
	lines []stanzaLine
}

type stanzaLine struct {
	number         int
	variable, text string
	err            string // what is wrong with the form; "" if nothing is
}

// defaultStanza is the name of the stanza that all others begin with.
const defaultStanza = "default"

// begin reads the line "[name]".
func (s *stanzas) begin(number int, line string) {
	line = strings.TrimSpace(line)
	name := strings.TrimSpace(line[1 : len(line)-1])
	for i := range s.list {
		if s.list[i].name == name {
			s.last = i
			return
		}
	}
	s.last = len(s.list)
	s.list = append(s.list, stanza{name: name, line: number})
}

// add reads a line of the stanza begun last: a variable, a colon or nothing,
// blanks, and a value that ends at the next blank or semicolon. That and no
// equals sign is what fwknop 2.6.10 reads.
func (s *stanzas) add(number int, line string) {
	line = strings.TrimSpace(line)
	if line[0] == ';' {
		return
	}
	l := stanzaLine{number: number}
	variable, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	l.variable = strings.TrimSuffix(variable, ":")
	value, more := cutValue(strings.TrimLeft(rest, " "))
	switch {
	case !isVariable(l.variable):
		// NB: it may be a value, and a key: it is not shown.
		l.variable, l.err = "", "this line is no variable and its value: want NAME, blanks, VALUE"
	case value == "":
		l.err = l.variable + " has no value"
	case more != "" && more[0] != ';':
		l.err = l.variable + " has more than a value: want one word, and no equals sign before it"
	}
	l.text = value
	s.list[s.last].lines = append(s.list[s.last].lines, l)
}

// cutValue cuts a value from what follows it.
func cutValue(s string) (value, rest string) {
	if i := strings.IndexAny(s, " ;"); i >= 0 {
		return s[:i], strings.TrimLeft(s[i:], " ")
	}
	return s, ""
}

func isVariable(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}

// hosts makes hosts of the stanzas.
func (s *stanzas) hosts(path string) []Host {
	var base []stanzaLine
	for _, st := range s.list {
		if st.name == defaultStanza {
			base = st.lines
		}
	}
	var list []Host
	for _, st := range s.list {
		r := stanzaReader{path: path, host: Host{
			Name: st.name, Settings: Settings{Kind: SPA}, Stanza: true, Origin: place{path, st.line, 0}.String(),
		}}
		if st.name != defaultStanza {
			r.read(base)
		}
		r.read(st.lines)
		r.finish()
		list = append(list, r.host)
	}
	return list
}

// stanzaReader makes a host of the lines of its stanza and of the default one.
type stanzaReader struct {
	path string
	host Host
	hmac bool // USE_HMAC: there must be a key for it
}

// read takes over the variables of some lines. The first mistake is the one
// reported.
func (r *stanzaReader) read(lines []stanzaLine) {
	seen := make(map[string]bool)
	for _, l := range lines {
		if r.host.Err != nil {
			return
		}
		if l.err != "" {
			r.host.Err = place{r.path, l.number, 0}.fail("", "%s", l.err)
			return
		}
		seen[l.variable] = true
		err := r.variable(l)
		if other := rivals[l.variable]; seen[other] {
			err = fmt.Errorf("%s is there, too: want one of them", other)
		}
		if err != nil {
			r.host.Err = place{r.path, l.number, 0}.fail("", "%s: %v", l.variable, err)
		}
	}
}

func (r *stanzaReader) variable(l stanzaLine) error {
	v, ok := variables[l.variable]
	if !ok {
		return fmt.Errorf("fwknop has no such variable")
	}
	if v.set != nil {
		return v.set(r, l.text)
	}
	// What is switched off asks for nothing.
	if strings.EqualFold(l.text, "N") {
		return nil
	}
	if v.refused {
		return fmt.Errorf("not supported: %s", v.reason)
	}
	r.host.Warnings = append(r.host.Warnings, fmt.Sprintf("%s: %s has no effect: %s", place{r.path, l.number, 0}, l.variable, v.reason))
	return nil
}

// finish settles what depends on several variables.
func (r *stanzaReader) finish() {
	s := &r.host.Settings
	if !r.hmac && s.HMACKey == nil {
		s.HMAC = new(spa.Hash) // none
	}
	if m := s.check(); m != nil && r.host.Err == nil {
		r.host.Err = configError("", "%s: %w", r.host.Origin, m)
	}
}
