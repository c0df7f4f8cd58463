// Package fingerprint tells the operating systems behind the SYNs of captures,
// of a running host, and of kernel logs, for people and programs to read.
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
)

// Source gives SYNs one after the other.
type Source interface {
	// Next gives the next pure SYN and when it was seen, the zero time if that
	// is not known. The packet is good until the next call. After the last one
	// the error is io.EOF.
	Next() (time.Time, *packet.Packet, error)
	// Skipped is what Next has passed over so far.
	Skipped() Skipped
}

// Skipped counts what a Source passed over.
type Skipped struct {
	Others    int   // packets or lines that are no SYN
	NoOptions int   // SYNs logged without their TCP options
	Broken    int   // what could not be read
	Why       error // of the first that could not be read, with its place
}

func (s *Skipped) broken(err error) {
	if s.Broken++; s.Broken == 1 {
		s.Why = err
	}
}

// Packets is what capture.Reader and capture.LiveReader have in common.
type Packets interface {
	Next() (time.Time, []byte, error)
}

// FromPackets gives the SYNs among captured packets.
func FromPackets(packets Packets) Source { return &packetSource{from: packets} }

type packetSource struct {
	from    Packets
	count   int
	skipped Skipped
	packet  packet.Packet
}

func (s *packetSource) Skipped() Skipped { return s.skipped }

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

// FromLog gives the SYNs of the lines that netfilter wrote into a kernel log,
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
