package tomlpos

import "strings"

// A scanner skips the tokens of TOML 1.1. It is less strict than the parser: it may
// skip text that is not TOML, but in every text that the parser accepts it finds the
// same tokens.
type scanner struct {
	text string
	pos  int
	fail failure
}

// failure is why a scanner stopped.
type failure uint8

const (
	failNone   failure = iota
	failSyntax         // not TOML
	failDepth          // nested deeper than maxDepth
)

// stop ends the scan: from then on every method does nothing. The first reason is kept.
func (s *scanner) stop(why failure) {
	if s.fail == failNone {
		s.fail = why
	}
}

// peek returns the next byte, or 0 at the end and after a failure. TOML allows no NUL
// bytes.
func (s *scanner) peek() byte {
	if s.fail != failNone || s.pos >= len(s.text) {
		return 0
	}
	return s.text[s.pos]
}

// accept skips prefix if the rest of the text begins with it, and reports whether it does.
func (s *scanner) accept(prefix string) bool {
	if s.fail != failNone || !strings.HasPrefix(s.text[s.pos:], prefix) {
		return false
	}
	s.pos += len(prefix)
	return true
}

func (s *scanner) expect(c string) {
	if !s.accept(c) {
		s.stop(failSyntax)
	}
}

func (s *scanner) blanks() { s.skip(" \t") }

// gap skips blanks, newlines and comments.
func (s *scanner) gap() {
	s.skip(" \t\r\n")
	for s.peek() == '#' {
		s.line()
		s.skip(" \t\r\n")
	}
}

// line skips the rest of the line, except for the newline.
func (s *scanner) line() {
	// The newline itself is left for who looks for the end of a statement.
	if i := strings.IndexByte(s.text[s.pos:], '\n'); i >= 0 {
		s.pos += i
		return
	}
	s.pos = len(s.text)
}

func (s *scanner) skip(set string) {
	for c := s.peek(); c != 0 && strings.IndexByte(set, c) >= 0; c = s.peek() {
		s.pos++
	}
}

// part is one part of a dotted key.
type part struct {
	name   string
	offset int
}

// key reads a dotted key.
func (s *scanner) key() []part {
	var parts []part
	for s.fail == failNone {
		// The parser needs quadratic time for a key of many parts.
		if len(parts) == maxDepth {
			s.stop(failDepth)
			break
		}
		s.blanks()
		p := part{offset: s.pos}
		p.name = s.keyPart()
		parts = append(parts, p)
		s.blanks()
		if !s.accept(".") {
			break
		}
	}
	return parts
}

func (s *scanner) keyPart() string {
	start := s.pos
	switch s.peek() {
	// A key in quotes is one string of one line, with escapes in double quotes.
	case '"':
		s.quoted('"')
		if s.fail != failNone {
			return ""
		}
		return unescape(s.text[start+1 : s.pos-1])
	case '\'':
		s.quoted('\'')
		if s.fail != failNone {
			return ""
		}
		return s.text[start+1 : s.pos-1]
	}
	for isBareKey(s.peek()) {
		s.pos++
	}
	if s.pos == start {
		s.stop(failSyntax)
	}
	return s.text[start:s.pos]
}

func isBareKey(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// scalar skips a value that is neither array nor table.
func (s *scanner) scalar() {
	// Three quotes before one, since an empty string is two of them.
	switch {
	case s.accept(`"""`):
		s.multiline('"')
	case s.accept(`'''`):
		s.multiline('\'')
	case s.peek() == '"', s.peek() == '\'':
		s.quoted(s.peek())
	default:
		// A blank does not end the value: a date may have one before the time.
		end := strings.IndexAny(s.text[s.pos:], ",]}#\r\n")
		if end < 0 {
			end = len(s.text) - s.pos
		}
		if end == 0 {
			s.stop(failSyntax)
		}
		s.pos += end
	}
}
