package client

import (
	"fmt"
	"strings"

	"nftknock/pkg/spa"
)

// stanzas are the stanzas of ~/.fwknoprc while it is read. A stanza may have several
// parts, as in fwknop; later values replace earlier ones.
type stanzas struct {
	list []stanza
	last int // index of the stanza being read
}

type stanza struct {
	name  string
	line  int
	lines []stanzaLine
}

type stanzaLine struct {
	number         int
	variable, text string
	err            string // a mistake in the form of the line, or ""
}

// defaultStanza is the name of the stanza whose lines apply to all others.
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

// add reads a line of the present stanza, in the form that fwknop 2.6.10 reads: a
// variable, an optional colon, blanks, and a value that ends at the next blank or
// semicolon. An equals sign is not allowed.
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
		// NB: the word may be a secret key, so the error does not show it.
		l.variable, l.err = "", "this line does not set a variable: want NAME, blanks, VALUE"
	case value == "":
		l.err = l.variable + " has no value"
	case more != "" && more[0] != ';':
		l.err = l.variable + " has more than a value: want one word, and no equals sign before it"
	}
	l.text = value
	s.list[s.last].lines = append(s.list[s.last].lines, l)
}

// cutValue splits a text into the value at its beginning and the rest.
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

// hosts returns one Host per stanza.
func (s *stanzas) hosts(path string) []Host {
	var base []stanzaLine
	// First, since the default stanza may follow others.
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

// stanzaReader makes a Host of the lines of a stanza and of the default stanza.
type stanzaReader struct {
	path string
	host Host
	hmac bool // USE_HMAC, which requires a key
}

// read sets the variables of the lines. It stops at the first mistake.
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
			err = fmt.Errorf("%s is set too: want one of them", other)
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
	// A variable that is switched off changes nothing, whether or not it is supported.
	if strings.EqualFold(l.text, "N") {
		return nil
	}
	if v.refused {
		return fmt.Errorf("not supported: %s", v.reason)
	}
	r.host.Warnings = append(r.host.Warnings, fmt.Sprintf("%s: %s has no effect: %s", place{r.path, l.number, 0}, l.variable, v.reason))
	return nil
}

// finish sets and checks what depends on several variables.
func (r *stanzaReader) finish() {
	s := &r.host.Settings
	if !r.hmac && s.HMACKey == nil {
		s.HMAC = new(spa.Hash) // none
	}
	if m := s.check(); m != nil && r.host.Err == nil {
		r.host.Err = configError("", "%s: %w", r.host.Origin, m)
	}
}
