package p0f

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"nftknock/pkg/packet"
)

// Signature2 is a signature of p0f version 2 or of pf.os, which share their first
// five fields. Both exist for IPv4 only. It is comparable, and ParseSignature2 or
// ParsePF reads what String returns.
type Signature2 struct {
	// PF is set for a signature of pf.os, which has no quirks: fields of a
	// packet that the signature does not name are not compared.
	PF     bool
	Window Window // WindowAny, WindowValue, WindowModulo, WindowS or WindowT
	TTL    uint8  // the initial one, at most 40 above that of a packet
	AnyTTL bool   // any TTL up to that fits: "*" before the genre, not part of String
	DF     bool
	// Size is the total length of the packet in bytes; 0 means at least 100.
	Size uint16
	// MSS and Scale are the values of the options M and W, of the last ones if
	// Layout has several. With MSSModulo and ScaleModulo ("M%N" and "W%N") the
	// value of a packet must be a multiple of MSS or Scale.
	MSS                    int32 // or Any; 0 if the option is missing
	Scale                  int16 // or Any; 0 if the option is missing
	MSSModulo, ScaleModulo bool
	// TSZero is "T0": the sender's own timestamp is zero.
	TSZero bool
	Layout Layout // Layout.Padding is 0; a packet may have any padding
	Quirks Quirk2
}

// Quirk2 is a set of oddities of a SYN, as p0f version 2 defines them.
type Quirk2 uint16

// The quirks, and their letters. A SYN with a quirk that a signature does not name
// does not fit it.
const (
	Quirk2Padding   Quirk2 = 1 << iota // P: bytes after the end of options
	Quirk2IDZero                       // Z: the ID is zero, whether or not DF is set
	Quirk2IPOptions                    // I: IP options
	Quirk2Urgent                       // U: urgent pointer not zero
	Quirk2Reserved                     // X: a bit beside the data offset is set
	Quirk2Ack                          // A: acknowledgement number not zero
	Quirk2TSPeer                       // T: echoed timestamp not zero
	Quirk2Flags                        // F: PSH or URG
	Quirk2Data                         // D: payload
	Quirk2Bad                          // !: malformed options
	Quirk2Reset                        // K: RST and ACK, which no SYN has
	Quirk2SeqAck                       // Q: sequence and acknowledgement number are equal
	Quirk2SeqZero                      // 0: sequence number zero
)

const quirkLetters = "PZIUXATFD!KQ0"

// The number of fields in a line.
const (
	fields2  = 8 // p0f version 2
	fieldsPF = 9 // pf.os
)

// ParseSignature2 reads a signature of p0f version 2,
//
//	window:ttl:df:size:options:quirks
//
// for instance "S4:64:1:60:M*,S,T,N,W7:.". The error is a *ParseError.
func ParseSignature2(text string) (Signature2, error) {
	return parseSignature2(text, false)
}

// ParsePF reads a signature of pf.os,
//
//	window:ttl:df:size:options
//
// for instance "S4:64:1:60:M*,S,T,N,W7". The error is a *ParseError.
func ParsePF(text string) (Signature2, error) {
	return parseSignature2(text, true)
}

func parseSignature2(text string, pf bool) (Signature2, error) {
	parsers := fieldParsers2[:]
	if pf {
		parsers = fieldParsers2[:5]
	}
	fields := strings.Split(text, ":")
	if len(fields) != len(parsers) {
		return Signature2{}, &ParseError{
			Field:  "signature",
			Reason: fmt.Sprintf("want %d fields separated by colons, got %d in %q", len(parsers), len(fields), text),
		}
	}
	s := Signature2{PF: pf}
	for i, parser := range parsers {
		if err := parser.parse(&s, fields[i]); err != nil {
			return Signature2{}, &ParseError{Field: parser.name, Reason: fmt.Sprintf("%q: %v", fields[i], err)}
		}
	}
	return s, nil
}

// fieldParsers2 are in the order of the fields.
var fieldParsers2 = [6]struct {
	name  string
	parse func(*Signature2, string) error
}{
	{"window", (*Signature2).parseWindow},
	{"ttl", (*Signature2).parseTTL},
	{"df", (*Signature2).parseDF},
	{"size", (*Signature2).parseSize},
	{"options", (*Signature2).parseOptions},
	{"quirks", (*Signature2).parseQuirks},
}

func (s *Signature2) parseWindow(field string) error {
	var err error
	s.Window, err = parseWindow2(field)
	return err
}

func (s *Signature2) parseTTL(field string) error {
	n, err := parseNumber(field, 1, 255)
	s.TTL = uint8(n)
	return err
}

func (s *Signature2) parseDF(field string) error {
	if field != "0" && field != "1" {
		return errors.New("want 0 or 1")
	}
	s.DF = field == "1"
	return nil
}

func (s *Signature2) parseSize(field string) error {
	if field == "*" {
		return nil // Size 0
	}
	n, err := parseNumber(field, headers4, 65535)
	s.Size = uint16(n)
	return err
}

// parseOptions reads the options, which are separated by commas or blanks.
func (s *Signature2) parseOptions(field string) error {
	if field == "." {
		return nil
	}
	for token := range strings.SplitSeq(strings.ReplaceAll(field, " ", ","), ",") {
		if s.Layout.n == MaxOptions {
			return fmt.Errorf("more than %d options", MaxOptions)
		}
		if s.Layout.n > 0 && s.Layout.Kind(s.Layout.Len()-1) == packet.OptionEnd {
			return errors.New("option E must be the last")
		}
		if err := s.parseOption(token); err != nil {
			return err
		}
	}
	return nil
}

func (s *Signature2) parseOption(token string) error {
	kind, rest, err := optionLetter(token)
	if err != nil {
		return err
	}
	switch kind {
	case packet.OptionMSS:
		var n int
		n, s.MSSModulo, err = parseModulo(rest, 65535)
		s.MSS, rest = int32(n), ""
	case packet.OptionWindowScale:
		var n int
		n, s.ScaleModulo, err = parseModulo(rest, 255)
		s.Scale, rest = int16(n), ""
	case packet.OptionTimestamps:
		s.TSZero = rest == "0"
		if s.TSZero {
			rest = ""
		}
	}
	// rest is what the cases above have not read.
	if err == nil && rest != "" {
		return fmt.Errorf("unexpected %q after %q", rest, strings.TrimSuffix(token, rest))
	}
	s.Layout.add(uint8(kind))
	return err
}

// optionLetters are the letters of options in both old grammars.
var optionLetters = map[byte]packet.OptionKind{
	'N': packet.OptionNOP,
	'E': packet.OptionEnd,
	'M': packet.OptionMSS,
	'W': packet.OptionWindowScale,
	'S': packet.OptionSACKPermitted,
	'T': packet.OptionTimestamps,
}

// optionLetter returns the kind of an option, and the rest of the token.
func optionLetter(token string) (kind packet.OptionKind, rest string, err error) {
	if number, ok := strings.CutPrefix(token, "?"); ok {
		n, err := parseNumber(number, 0, 255)
		kind = packet.OptionKind(n)
		for letter, known := range optionLetters {
			if err == nil && kind == known {
				return 0, "", fmt.Errorf("%q has a letter of its own, %c", token, letter)
			}
		}
		return kind, "", err
	}
	if token == "" {
		return 0, "", errors.New(`an option is empty: want "." for no options`)
	}
	kind, ok := optionLetters[token[0]]
	if !ok {
		return 0, "", fmt.Errorf("unknown option %q: want N, E, S, T, T0, W, M or ?N", token)
	}
	return kind, token[1:], nil
}

// parseModulo reads "*", "N" or "%N".
func parseModulo(text string, most int) (n int, modulo bool, err error) {
	if text == "*" {
		return Any, false, nil
	}
	if number, ok := strings.CutPrefix(text, "%"); ok {
		n, err = parseNumber(number, 2, most)
		return n, true, err
	}
	n, err = parseNumber(text, 0, most)
	return n, false, err
}

func (s *Signature2) parseQuirks(field string) error {
	if field == "." {
		return nil
	}
	if field == "" {
		return errors.New(`empty: want "." for no quirks`)
	}
	for _, letter := range field {
		i := strings.IndexRune(quirkLetters, letter)
		if i < 0 {
			return fmt.Errorf("unknown quirk %q: want letters of %s", letter, quirkLetters)
		}
		if s.Quirks&(1<<i) != 0 {
			return fmt.Errorf("%q is listed twice", letter)
		}
		s.Quirks |= 1 << i
	}
	return nil
}

// String returns the form that a file has.
func (s Signature2) String() string {
	b := make([]byte, 0, 64)
	b = append(b, s.Window.string2()...)
	b = append(b, ':')
	b = strconv.AppendUint(b, uint64(s.TTL), 10)
	b = append(b, ':', "01"[b2i(s.DF)], ':')
	if s.Size == 0 {
		b = append(b, '*')
	} else {
		b = strconv.AppendUint(b, uint64(s.Size), 10)
	}
	b = append(b, ':')
	b = s.appendOptions(b)
	if s.PF {
		return string(b)
	}
	b = append(b, ':')
	if s.Quirks == 0 {
		return string(append(b, '.'))
	}
	for i := range quirkLetters {
		if s.Quirks&(1<<i) != 0 {
			b = append(b, quirkLetters[i])
		}
	}
	return string(b)
}

func (s *Signature2) appendOptions(b []byte) []byte {
	if s.Layout.n == 0 {
		return append(b, '.')
	}
	for i := range s.Layout.Len() {
		if i > 0 {
			b = append(b, ',')
		}
		switch kind := s.Layout.Kind(i); kind {
		case packet.OptionNOP:
			b = append(b, 'N')
		case packet.OptionEnd:
			b = append(b, 'E')
		case packet.OptionSACKPermitted:
			b = append(b, 'S')
		case packet.OptionTimestamps:
			b = append(b, 'T')
			if s.TSZero {
				b = append(b, '0')
			}
		case packet.OptionMSS:
			b = appendModulo(append(b, 'M'), int(s.MSS), s.MSSModulo)
		case packet.OptionWindowScale:
			b = appendModulo(append(b, 'W'), int(s.Scale), s.ScaleModulo)
		default:
			b = strconv.AppendUint(append(b, '?'), uint64(kind), 10)
		}
	}
	return b
}

func appendModulo(b []byte, n int, modulo bool) []byte {
	if modulo {
		b = append(b, '%')
	}
	return appendWildcard(b, n)
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
