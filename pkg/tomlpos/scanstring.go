package tomlpos

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// quoted skips a string of one line.
func (s *scanner) quoted(quote byte) {
	s.pos++
	for {
		switch c := s.peek(); {
		case c == 0 || c == '\n':
			s.stop(failSyntax)
			s.pos = min(s.pos, len(s.text)) // a backslash at the end was counted as two bytes
			return
		case c == quote:
			s.pos++
			return
		// What is escaped cannot end the string. In single quotes there are no escapes.
		case c == '\\' && quote == '"':
			s.pos++
			if s.peek() == '\n' {
				s.stop(failSyntax)
				return
			}
		}
		s.pos++
	}
}

// multiline skips the rest of a multi-line string.
func (s *scanner) multiline(quote byte) {
	// One or two quotes may precede the three that end the string (TOML, "String"), so
	// it ends after the first run of three or more.
	run := 0
	for c := s.peek(); c != 0; c = s.peek() {
		switch {
		case c == quote:
			run++
		case run >= 3:
			return
		case c == '\\' && quote == '"':
			s.pos++
			run = 0
		default:
			run = 0
		}
		s.pos++
	}
	if run < 3 {
		s.stop(failSyntax)
	}
	s.pos = min(s.pos, len(s.text))
}

// unescape resolves the escapes of a basic string. Other text and unknown escapes are
// kept.
func unescape(s string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(s, `\`)
		b.WriteString(before)
		if !found || after == "" {
			return b.String()
		}
		r, size := escaped(after)
		b.WriteRune(r)
		s = after[size:]
	}
}

// escaped returns the character for what follows a backslash, and the number of bytes
// read.
func escaped(s string) (rune, int) {
	var digits int
	switch s[0] {
	case 'x':
		digits = 2
	case 'u':
		digits = 4
	case 'U':
		digits = 8
	default:
		if i := strings.IndexByte("btnfre", s[0]); i >= 0 {
			return rune("\b\t\n\f\r\x1b"[i]), 1
		}
		return utf8.DecodeRuneInString(s)
	}
	// Cut off: the parser refuses the text, so any character will do.
	if len(s) <= digits {
		return utf8.RuneError, len(s)
	}
	n, err := strconv.ParseUint(s[1:1+digits], 16, 32)
	if err != nil {
		return utf8.RuneError, 1
	}
	return rune(n), 1 + digits
}
