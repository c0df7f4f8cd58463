package p0f

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Bounds of a signature file.
const (
	maxFileSize = 4 << 20
	maxLineSize = 8 << 10
)

// Parse reads a signature file in one of three grammars. The first line that is
// neither blank nor a comment with "#" decides which:
//
//   - p0f version 3, with the additions of ParseSignature. Of its sections only
//     [tcp:request] is used; [mtu], [tcp:response] and the two of HTTP are
//     skipped. Labels of class "!" (p0f's user applications) are of class
//     Tool. Within one file tools take precedence over systems.
//   - p0f version 2: ParseSignature2's six fields, genre and details.
//   - pf.os, as OpenBSD, nftables and the first fwknop have it: ParsePF's five
//     fields, genre, version, subtype and details. A line without the colon before
//     the genre is read too, since a published pf.os has one.
//
// In the latter two, a genre that begins with "-" (an application) or that is
// the name of a known scanner is of class Tool, "@" makes a generic signature, and
// "*" lets the TTL be anything up to the one given. Where several lines have the
// same signature, the label names all of their systems, or the tool among them.
// Earlier lines take precedence over later ones, and all others over generic ones.
//
// name stands for the file in errors, which are *ParseError unless reading
// failed. On error the database is nil.
func Parse(name string, r io.Reader) (*Database, error) {
	p := parser{file: name}
	// One byte more than allowed, so that a file that is too long can be told
	// from one that ends at the limit.
	lines := bufio.NewScanner(io.LimitReader(r, maxFileSize+1))
	lines.Buffer(nil, maxLineSize)
	size := 0
	for lines.Scan() {
		p.line++
		if size += len(lines.Bytes()) + 1; size > maxFileSize {
			return nil, p.fail("file", "longer than %d bytes", maxFileSize)
		}
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		if p.grammar == nil {
			if line[0] == '#' {
				continue
			}
			p.grammar = p.recognise(line)
		}
		if err := p.grammar.parseLine(line); err != nil {
			return nil, p.located(err)
		}
	}
	if err := lines.Err(); err != nil {
		p.line++ // Scan did not return the line it failed on
		if errors.Is(err, bufio.ErrTooLong) {
			return nil, p.fail("line", "longer than %d bytes", maxLineSize)
		}
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if p.signatures == 0 {
		return nil, p.fail("file", "no signature in it")
	}
	return p.grammar.finish(), nil
}

// grammar reads the lines of a file, which are trimmed and not empty.
type grammar interface {
	parseLine(string) error
	finish() *Database
}

// parser is the state that the parsers of all grammars share.
type parser struct {
	file       string
	line       int
	grammar    grammar
	signatures int
}

// recognise chooses the grammar by the first line of a file.
func (p *parser) recognise(line string) grammar {
	// A file of version 3 begins with a comment (";"), a section ("[mtu]") or
	// "classes = ...", none of which has seven colons.
	if line[0] != ';' && strings.Count(line, ":") >= fields2-1 {
		return &parser2{parser: p}
	}
	return &parser3{parser: p}
}

func (p *parser) fail(field, format string, args ...any) error {
	return &ParseError{File: p.file, Line: p.line, Field: field, Reason: fmt.Sprintf(format, args...)}
}

// located sets file and line in a *ParseError.
func (p *parser) located(err error) error {
	var bad *ParseError
	if errors.As(err, &bad) {
		bad.File, bad.Line = p.file, p.line
	}
	return err
}

// count counts one more signature, and fails at maxEntries.
func (p *parser) count() error {
	if p.signatures == maxEntries {
		return p.fail("file", "more than %d signatures", maxEntries)
	}
	p.signatures++
	return nil
}

// unprintable reports whether text has characters that do not print, such as
// escape sequences for a terminal, or is not UTF-8.
func unprintable(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
}
