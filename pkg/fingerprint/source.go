// Package fingerprint reads the TCP SYNs of captures, of the running host and of
// kernel logs, and reports for each which operating system sent it, in text or
// JSON.
package fingerprint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"nftknock/pkg/capture"
	"nftknock/pkg/kernlog"
	"nftknock/pkg/packet"
	"nftknock/pkg/wording"
)

// Source returns SYNs one after the other.
type Source interface {
	// Next returns the next pure SYN and when it was seen, the zero time if that
	// is not known. The packet is good until the next call. After the last one
	// the error is io.EOF.
	Next() (time.Time, *packet.Packet, error)
	// Skipped tells what Next has passed over so far.
	Skipped() Skipped
	// HasSequence reports whether the sequence numbers of the packets are real.
	HasSequence() bool
}

// Skipped counts what a Source passed over.
type Skipped struct {
	Others    int   // packets or lines that are no SYN
	NoOptions int   // SYNs logged without their TCP options
	Broken    int   // packets or lines that could not be read
	Why       error // why the first of these could not, with its place
	Lost      int   // SYNs that the kernel dropped, since Next was called too late
}

func (s *Skipped) broken(err error) {
	if s.Broken++; s.Broken == 1 {
		s.Why = err
	}
}

// Notes are sentences about what was passed over, for a person who has seen n
// SYNs of the Source.
func (s Skipped) Notes(n int) []string {
	var notes []string
	if s.Lost > 0 {
		notes = append(notes, wording.Count(s.Lost, "SYN is", "SYNs are")+" missing: packets came faster than they were read")
	}
	if s.Broken > 0 {
		notes = append(notes, fmt.Sprintf("could not read %d of its packets or lines, the first: %v", s.Broken, s.Why))
	}
	if s.NoOptions > 0 {
		notes = append(notes, fmt.Sprintf("passed over %s: %v", wording.Count(s.NoOptions, "SYN", "SYNs"), kernlog.ErrNoOptions))
	}
	if n == 0 {
		notes = append(notes, fmt.Sprintf("found no SYN among %s", wording.Count(s.Others, "packet or line", "packets or lines")))
	}
	return notes
}

// Packets is what capture.Reader and capture.LiveReader have in common.
type Packets interface {
	Next() (time.Time, []byte, error)
}

// FromPackets returns the SYNs among captured packets.
func FromPackets(packets Packets) Source { return &packetSource{from: packets} }

type packetSource struct {
	from    Packets
	count   int
	skipped Skipped
	packet  packet.Packet
}

func (s *packetSource) Skipped() Skipped { return s.skipped }

func (s *packetSource) HasSequence() bool { return true }

func (s *packetSource) Next() (time.Time, *packet.Packet, error) {
	for {
		at, b, err := s.from.Next()
		s.count++
		switch {
		case errors.Is(err, capture.ErrNotIP):
			s.skipped.Others++
			continue
		case err != nil:
			return time.Time{}, nil, err
		}
		err = packet.Decode(b, &s.packet)
		switch {
		case errors.Is(err, packet.ErrTruncated), errors.Is(err, packet.ErrMalformed):
			s.skipped.broken(fmt.Errorf("packet %d: %w", s.count, err))
		case err != nil || !s.packet.PureSYN():
			s.skipped.Others++
		default:
			return at, &s.packet, nil
		}
	}
}

// maxLine is the longest line that a log may have, in bytes.
const maxLine = 1 << 20

// FromLog returns the SYNs of the lines that netfilter wrote into a kernel log,
// without their times, which such lines tell only in part. Lines of others are
// passed over, whatever they hold. The name stands in errors.
func FromLog(name string, r io.Reader) Source {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	return &logSource{name: name, lines: lines}
}

type logSource struct {
	name    string
	lines   *bufio.Scanner
	count   int
	skipped Skipped
	packet  packet.Packet
}

func (s *logSource) Skipped() Skipped { return s.skipped }

// HasSequence is false also where rules log sequence numbers: kernlog gives 1 for
// those that are not logged.
func (s *logSource) HasSequence() bool { return false }

func (s *logSource) Next() (time.Time, *packet.Packet, error) {
	for s.lines.Scan() {
		s.count++
		err := kernlog.Parse(s.lines.Text(), &s.packet)
		var bad *kernlog.ParseError
		switch {
		case errors.Is(err, kernlog.ErrNoOptions):
			s.skipped.NoOptions++
		case errors.As(err, &bad):
			s.skipped.broken(fmt.Errorf("line %d: %w", s.count, err))
		case err != nil || !s.packet.PureSYN():
			s.skipped.Others++
		default:
			return time.Time{}, &s.packet, nil
		}
	}
	if err := s.lines.Err(); err != nil {
		return time.Time{}, nil, fmt.Errorf("%s: line %d: %w", s.name, s.count+1, err)
	}
	return time.Time{}, nil, io.EOF
}
