package p0f

import (
	"slices"
	"strings"
)

// parser2 reads a file of p0f version 2 or of pf.os.
type parser2 struct {
	*parser
	first int  // line number of the first signature, which decides between the two
	pf    bool // the first signature is of pf.os
	rows  int  // see maxRows
	lines []line2
	seen  map[Signature2]int // index into lines
}

// maxRows bounds the memory that a file takes: a signature that leaves the size of
// the packet or the length of an option open makes one row per possible layout.
const maxRows = 2 * maxEntries

// line2 is a line that was read, merged with later ones of the same signature.
type line2 struct {
	signature Signature2
	generic   bool
	labels    []Label // of all lines with the same signature
}

func (p *parser2) parseLine(line string) error {
	if line[0] == '#' {
		return nil
	}
	fields := strings.Split(line, ":")
	pf, err := p.isPF(fields)
	if err != nil {
		return err
	}
	if p.first == 0 {
		p.first, p.pf = p.line, pf
	}
	if pf != p.pf {
		return p.fail("line", "this is a line of %s, and line %d is one of %s: a file has one kind", kind2(pf), p.first, kind2(p.pf))
	}
	var (
		s     Signature2
		genre string
	)
	if pf {
		var options string
		options, genre = cutGenre(fields[4])
		fields[4] = options
		s, err = ParsePF(strings.Join(fields[:5], ":"))
		fields = fields[5:]
	} else {
		s, err = ParseSignature2(strings.Join(fields[:6], ":"))
		fields = fields[6:]
	}
	if err != nil {
		return err
	}
	if genre == "" { // else cutGenre has found it in the field of options
		genre, fields = fields[0], fields[1:]
	}
	return p.addLine(s, strings.TrimSpace(genre), fields)
}

func kind2(pf bool) string {
	if pf {
		return "pf.os"
	}
	return "p0f version 2"
}

// isPF reports whether a line is of pf.os: by the number of its fields, or, in a
// line that lost a colon, by a word after the options.
func (p *parser2) isPF(fields []string) (bool, error) {
	switch len(fields) {
	case fieldsPF:
		return true, nil
	case fields2:
		_, genre := cutGenre(fields[4])
		return genre != "", nil
	}
	return false, p.fail("line", "want 9 fields separated by colons (pf.os) or 8 (p0f version 2), got %d", len(fields))
}

// cutGenre cuts the field of options at the blank before a genre whose colon is
// missing. Options may be separated by blanks too; what follows a blank is a genre
// if it has a lower-case letter, which no option has.
func cutGenre(field string) (options, genre string) {
	i := strings.IndexAny(field, " \t")
	if i < 0 || !strings.ContainsFunc(field[i:], func(r rune) bool { return r >= 'a' && r <= 'z' }) {
		return field, ""
	}
	return field[:i], strings.TrimSpace(field[i:])
}

// addLine adds the signature of a line; names are the fields after the genre.
func (p *parser2) addLine(s Signature2, genre string, names []string) error {
	name := strings.TrimLeft(genre, "-*@")
	prefixes := genre[:len(genre)-len(name)]
	if !isName(name) {
		return p.fail("genre", "%q: want -, * or @ where needed, and then letters, digits, blanks and ./-_!?()", genre)
	}
	for _, n := range names {
		if unprintable(n) {
			return p.fail("details", "%q: holds what cannot be printed", n)
		}
	}
	// These grammars have no classes, so the name serves as its own.
	l := Label{Name: name, Flavour: flavour2(name, names), Family: familyOf(name, name)}
	if strings.Contains(prefixes, "-") || isTool(name) {
		l.Class, l.Family = Tool, strings.ToLower(name)
	}
	s.AnyTTL = strings.Contains(prefixes, "*") // before p.seen, whose key it is part of
	if err := p.count(); err != nil {
		return err
	}
	if i, ok := p.seen[s]; ok {
		p.lines[i].labels = append(p.lines[i].labels, l)
		return nil
	}
	if p.rows += len(s.rows(false)); p.rows > maxRows {
		return p.fail("file", "signatures that together fit more than %d layouts of options", maxRows)
	}
	if p.seen == nil {
		p.seen = make(map[Signature2]int)
	}
	p.seen[s] = len(p.lines)
	p.lines = append(p.lines, line2{s, strings.Contains(prefixes, "@"), []Label{l}})
	return nil
}

// flavour2 makes a flavour of the fields after the genre. The last field repeats
// all others and begins with the genre, so it is used alone unless it is empty.
func flavour2(name string, fields []string) string {
	details := strings.TrimSpace(fields[len(fields)-1])
	if details == "" {
		return strings.Join(strings.Fields(strings.Join(fields, " ")), " ")
	}
	if rest, ok := strings.CutPrefix(details, name); ok && (rest == "" || rest[0] == ' ') {
		return strings.TrimSpace(rest)
	}
	return details
}

func (p *parser2) finish() *Database {
	var b builder
	for _, line := range p.lines {
		b.add(joinLabels(line.labels), line.generic, line.signature)
	}
	return b.database()
}

// joinLabels returns one label for systems that share a signature. It names up to
// eight of them. If one of the labels is a tool's, it returns that.
func joinLabels(labels []Label) Label {
	const most = 8
	if i := slices.IndexFunc(labels, func(l Label) bool { return l.Class == Tool }); i >= 0 {
		return labels[i]
	}
	all := labels[0]
	known := []string{all.String()}
	for _, l := range labels[1:] {
		if slices.Contains(known, l.String()) {
			continue
		}
		if len(known) == most {
			all.Flavour += " or others"
			break
		}
		known = append(known, l.String())
		all.Flavour = strings.TrimSpace(all.Flavour + " or " + l.String())
	}
	return all
}
