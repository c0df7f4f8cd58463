package p0f

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"nftknock/pkg/packet"
)

// Any is the wildcard of Signature.MSS and Signature.Scale.
const Any = -1

// TTLForm is the meaning of a signature's TTL.
type TTLForm uint8

// The forms of a TTL, and how they are written.
const (
	TTLInitial  TTLForm = iota // "64": the system sends this
	TTLObserved                // "54+10": 54 was observed, 64 was probably sent
	TTLRandom                  // "64-": the system sends any TTL up to this
)

// Payload is whether a SYN carries data.
type Payload uint8

// The values of Payload, and how they are written.
const (
	PayloadNone Payload = iota // "0"
	PayloadSome                // "+"
	PayloadAny                 // "*"
)

// Signature is the form of the SYNs of one system or tool, in the grammar of p0f
// version 3. It is comparable, and ParseSignature reads what String returns.
type Signature struct {
	Version uint8 // 4, 6, or 0 for both
	// TTL is the initial TTL or hop limit; with TTLObserved it is the sum of
	// the two numbers, and Hops is the second.
	TTL       uint8
	TTLForm   TTLForm
	Hops      uint8
	IPOptions uint8 // length of the IPv4 options in bytes
	MSS       int32 // or Any; 0 if the option is missing
	Window    Window
	Scale     int16 // or Any; 0 also if the option is missing
	Layout    Layout
	// A packet must have Quirks, may have Optional, and must not have others
	// except for QuirkFlow, which it may have too.
	Quirks, Optional Quirk
	Conditions       Condition
	ID               uint16 // of CondID
	Payload          Payload
}

// Rule returns the signature with its TTL as the initial one and with any MSS, since
// that depends on the network. It makes a line of a file out of what Observe returns.
func (s Signature) Rule() Signature {
	s.TTLForm, s.Hops = TTLInitial, 0
	if s.Layout.contains(packet.OptionMSS) {
		s.MSS = Any
	}
	return s
}

// ParseError is a mistake in a signature or in a file of signatures.
type ParseError struct {
	File   string // empty for ParseSignature
	Line   int    // counted from 1; 0 for ParseSignature
	Field  string // which part is wrong: "ttl", "quirks", "label"
	Reason string
}

func (e *ParseError) Error() string {
	at := ""
	if e.File != "" {
		at = fmt.Sprintf("%s:%d: ", e.File, e.Line)
	}
	return at + "bad " + e.Field + ": " + e.Reason
}

// ParseSignature reads a signature of p0f version 3,
//
//	ver:ittl:olen:mss:wsize,scale:olayout:quirks:pclass
//
// for instance "*:64:0:*:mss*20,7:mss,sok,ts,nop,ws:df,id+:0". To p0f's
// grammar it adds the window "fit65536" (see Window); a question mark after a
// quirk that a packet may have or not ("ecn?"); and, among the quirks, the
// conditions "id=54321", "id=dst^dport^seq" and "seq=dst" (see Condition).
// Numbers are decimal, without sign or leading zeros. The error is a
// *ParseError.
func ParseSignature(text string) (Signature, error) {
	fields := strings.Split(text, ":")
	if len(fields) != 8 {
		return Signature{}, &ParseError{
			Field:  "signature",
			Reason: fmt.Sprintf("want 8 fields separated by colons, got %d in %q", len(fields), text),
		}
	}
	var s Signature
	for i, parser := range fieldParsers {
		if err := parser.parse(&s, fields[i]); err != nil {
			return Signature{}, &ParseError{
				Field:  parser.name,
				Reason: fmt.Sprintf("%q: %v", fields[i], err),
			}
		}
	}
	return s, nil
}

// fieldParsers are in the order of the fields.
var fieldParsers = [8]struct {
	name  string
	parse func(*Signature, string) error
}{
	{"version", (*Signature).parseVersion},
	{"ttl", (*Signature).parseTTL},
	{"ip options length", (*Signature).parseIPOptions},
	{"mss", (*Signature).parseMSS},
	{"window", (*Signature).parseWindowScale},
	{"option layout", (*Signature).parseLayout},
	{"quirks", (*Signature).parseQuirks},
	{"payload class", (*Signature).parsePayload},
}

func (s *Signature) parseVersion(field string) error {
	switch field {
	case "4":
		s.Version = 4
	case "6":
		s.Version = 6
	case "*":
		s.Version = 0
	default:
		return errors.New("want 4, 6 or *")
	}
	return nil
}

func (s *Signature) parseTTL(field string) error {
	if seen, hops, ok := strings.Cut(field, "+"); ok {
		// p0f writes the observed TTL and its guess of the number of hops.
		ttl, err := parseNumber(seen, 0, 255)
		if err != nil {
			return err
		}
		n, err := parseNumber(hops, 0, 255)
		if err != nil {
			return err
		}
		if ttl+n < 1 || ttl+n > 255 {
			return errors.New("the sum must be from 1 to 255")
		}
		s.TTL, s.Hops, s.TTLForm = uint8(ttl+n), uint8(n), TTLObserved
		return nil
	}
	field, random := strings.CutSuffix(field, "-")
	ttl, err := parseNumber(field, 1, 255)
	if err != nil {
		return err
	}
	s.TTL = uint8(ttl)
	if random {
		s.TTLForm = TTLRandom
	}
	return nil
}

func (s *Signature) parseIPOptions(field string) error {
	n, err := parseNumber(field, 0, 255)
	s.IPOptions = uint8(n)
	return err
}

func (s *Signature) parseMSS(field string) error {
	n, err := parseWildcard(field, 65535)
	s.MSS = int32(n)
	return err
}

func (s *Signature) parseWindowScale(field string) error {
	window, scale, ok := strings.Cut(field, ",")
	if !ok {
		return errors.New("want window and scale separated by a comma")
	}
	var err error
	if s.Window, err = parseWindow(window); err != nil {
		return err
	}
	n, err := parseWildcard(scale, 255)
	s.Scale = int16(n)
	return err
}

func (s *Signature) parseLayout(field string) error {
	var err error
	s.Layout, err = parseLayout(field)
	return err
}

func (s *Signature) parsePayload(field string) error {
	switch field {
	case "0":
		s.Payload = PayloadNone
	case "+":
		s.Payload = PayloadSome
	case "*":
		s.Payload = PayloadAny
	default:
		return errors.New("want 0, + or *")
	}
	return nil
}

// parseWildcard reads a number up to most, or "*" as Any.
func parseWildcard(field string, most int) (int, error) {
	if field == "*" {
		return Any, nil
	}
	return parseNumber(field, 0, most)
}

func parseNumber(field string, least, most int) (int, error) {
	n, err := strconv.ParseUint(field, 10, 31)
	// ParseUint takes leading zeros, of which a printed number has none.
	canonical := err == nil && (field[0] != '0' || len(field) == 1)
	if !canonical || int(n) < least || int(n) > most {
		return 0, fmt.Errorf("want a number from %d to %d, not %q", least, most, field)
	}
	return int(n), nil
}

// String returns the canonical form, which ParseSignature reads.
func (s Signature) String() string {
	b := make([]byte, 0, 96)
	if s.Version == 0 {
		b = append(b, '*')
	} else {
		b = append(b, '0'+s.Version)
	}
	b = append(b, ':')
	b = s.appendTTL(b)
	b = append(b, ':')
	b = strconv.AppendUint(b, uint64(s.IPOptions), 10)
	b = append(b, ':')
	b = appendWildcard(b, int(s.MSS))
	b = append(b, ':')
	b = append(b, s.Window.String()...)
	b = append(b, ',')
	b = appendWildcard(b, int(s.Scale))
	b = append(b, ':')
	b = s.Layout.appendTo(b)
	b = append(b, ':')
	b = s.appendQuirks(b)
	b = append(b, ':', "0+*"[s.Payload%3]) // the modulus keeps an invalid value from a panic
	return string(b)
}

func (s *Signature) appendTTL(b []byte) []byte {
	switch s.TTLForm {
	case TTLObserved:
		b = strconv.AppendUint(b, uint64(s.TTL-s.Hops), 10)
		b = append(b, '+')
		return strconv.AppendUint(b, uint64(s.Hops), 10)
	case TTLRandom:
		return append(strconv.AppendUint(b, uint64(s.TTL), 10), '-')
	default:
		return strconv.AppendUint(b, uint64(s.TTL), 10)
	}
}

func appendWildcard(b []byte, n int) []byte {
	if n == Any {
		return append(b, '*')
	}
	return strconv.AppendInt(b, int64(n), 10)
}
