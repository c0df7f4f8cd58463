package p0f

import (
	"slices"
	"strings"
)

const sectionUsed = "tcp:request"

var sections = []string{"mtu", sectionUsed, "tcp:response", "http:request", "http:response"}

// keys are those that p0f knows, in whatever section.
var keys = []string{"label", "sys", "sig", "ua_os"}

// parser3 reads the grammar of p0f version 3.
type parser3 struct {
	*parser
	section string   // empty before the first section
	classes []string // in lower case
	label   *Label   // of the signatures that follow; nil if none is in force
	generic bool     // the label is generic
	builder builder
	seen    map[Signature]int // line number
}

// finish gives tools and proxies precedence: some copy the signature of a system and
// differ from it only in a condition or a quirk.
func (p *parser3) finish() *Database {
	p.builder.toolsFirst()
	return p.builder.database()
}

func (p *parser3) parseLine(line string) error {
	if line[0] == ';' {
		return nil
	}
	if line[0] == '[' {
		return p.parseSection(line)
	}
	key, value, ok := strings.Cut(line, "=")
	if !ok {
		return p.fail("line", "want a section, a comment or key = value, not %q", line)
	}
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if key == "classes" && p.section == "" {
		return p.parseClasses(value)
	}
	if p.section == "" || !slices.Contains(keys, key) {
		return p.fail("line", "%q is not known here", key)
	}
	if p.section != sectionUsed {
		return nil
	}
	switch key {
	case "label":
		return p.parseLabel(value)
	case "sys":
		return p.parseSys(value)
	case "sig":
		return p.parseSig(value)
	}
	return p.fail("line", "%q is not known in [%s]", key, p.section)
}

func (p *parser3) parseSection(line string) error {
	name, ok := strings.CutSuffix(line[1:], "]")
	if !ok || !slices.Contains(sections, name) {
		return p.fail("section", "%q is none of p0f's", line)
	}
	p.section, p.label = name, nil // a label ends with its section
	return nil
}

func (p *parser3) parseClasses(value string) error {
	for class := range strings.SplitSeq(value, ",") {
		class = strings.TrimSpace(class)
		if !isName(class) {
			return p.fail("classes", "%q is no name", class)
		}
		p.classes = append(p.classes, strings.ToLower(class))
	}
	return nil
}

// toolClass is p0f's class of labels that name no operating system.
const toolClass = "!"

// kindClasses are classes of a file with a meaning, if they are among those at its
// head; p0f knows no such classes.
var kindClasses = map[string]Class{"proxy": Proxy, "stack": Stack}

func (p *parser3) parseLabel(value string) error {
	fields := strings.SplitN(value, ":", 4)
	if len(fields) != 4 {
		return p.fail("label", "want type:class:name:flavour, not %q", value)
	}
	kind, class, name, flavour := fields[0], fields[1], fields[2], fields[3]
	if kind != "s" && kind != "g" {
		return p.fail("label", "type %q: want s (specific) or g (generic)", kind)
	}
	if !isName(name) {
		return p.fail("label", "name %q: want letters, digits, blanks and ./-_!?()", name)
	}
	if unprintable(flavour) {
		return p.fail("label", "flavour %q: holds what cannot be printed", flavour)
	}
	l := &Label{Name: name, Flavour: flavour}
	switch {
	case class == toolClass:
		l.Class, l.Family = Tool, strings.ToLower(name)
	case !slices.Contains(p.classes, strings.ToLower(class)):
		return p.fail("label", "class %q is not among the classes at the head of the file", class)
	default:
		if err := p.classify(l, class); err != nil {
			return err
		}
	}
	p.label, p.generic = l, kind == "g"
	return nil
}

// classify sets class and family of a label by its class in the file.
func (p *parser3) classify(l *Label, class string) error {
	kind, ok := kindClasses[strings.ToLower(class)]
	if !ok {
		l.Family = familyOf(class, l.Name)
		return nil
	}
	// Else a stack could satisfy a requirement of the system.
	if isSystem(l.Name) {
		return p.fail("label", "name %q is an operating system's, and class %q is not for systems", l.Name, class)
	}
	l.Class, l.Family = kind, strings.ToLower(l.Name)
	return nil
}

// parseSys checks the list of systems that a tool runs on. Match does not use it.
func (p *parser3) parseSys(value string) error {
	if p.label == nil {
		return p.fail("sys", "no label before it")
	}
	for sys := range strings.SplitSeq(value, ",") {
		class, isClass := strings.CutPrefix(sys, "@")
		if isClass && !slices.Contains(p.classes, strings.ToLower(class)) {
			return p.fail("sys", "class %q is not among the classes at the head of the file", class)
		}
		if !isClass && !isName(sys) {
			return p.fail("sys", "%q is no name", sys)
		}
	}
	return nil
}

func (p *parser3) parseSig(value string) error {
	if p.label == nil {
		return p.fail("sig", "no label before it")
	}
	// A comment after a signature is an addition to p0f's grammar.
	value, _, _ = strings.Cut(value, ";")
	s, err := ParseSignature(strings.TrimSpace(value))
	if err != nil {
		return err
	}
	if line, ok := p.seen[s]; ok {
		return p.fail("sig", "%q stands already in line %d", value, line)
	}
	if p.seen == nil {
		p.seen = make(map[Signature]int)
	}
	p.seen[s] = p.line
	p.builder.add(*p.label, p.generic, s)
	return p.count()
}

// isName reports whether s may name a system or a class.
func isName(s string) bool {
	const others = " ./-_!?()"
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !letter && !strings.ContainsRune(others, r)
	})
}
