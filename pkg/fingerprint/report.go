package fingerprint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
	"nftknock/pkg/wording"
)

// Format is how a Report is written.
type Format uint8

// The formats.
const (
	Lines   Format = iota // one line per SYN, for people
	Details               // and below it each header field and option in words
	JSON                  // one object per SYN
)

// Report says what to write about the SYNs of a Source.
type Report struct {
	Grammar Grammar
	Format  Format
	// Summary: count the SYNs of each sender instead of writing one by one. The
	// format Details is then the same as Lines.
	Summary bool
	// Count is how many SYNs to read; 0 for all there are.
	Count int
}

// Write reads the source, asks the database about each SYN, and writes the answers.
// It returns how many SYNs it has read. When the source fails, what was read until
// then has been written: a capture may end in the middle of a packet.
func (r Report) Write(w io.Writer, db *p0f.Database, src Source) (n int, err error) {
	summary := NewSummary(r.Grammar)
	n, err = r.each(db, src, func(at time.Time, a Answer, p *packet.Packet) error {
		switch {
		case r.Summary:
			summary.Add(a, p)
			return nil
		case r.Format == JSON:
			return json.NewEncoder(w).Encode(a)
		}
		_, err := io.WriteString(w, r.text(at, a, p, src.HasSequence()))
		return err
	})
	switch {
	case !r.Summary || n == 0:
		return n, err
	case r.Format == JSON:
		return n, errors.Join(summary.PrintJSON(w), err)
	}
	return n, errors.Join(summary.Print(w), err)
}

// each calls do for the SYNs of a source.
func (r Report) each(db *p0f.Database, src Source, do func(time.Time, Answer, *packet.Packet) error) (n int, err error) {
	for r.Count == 0 || n < r.Count {
		at, p, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return n, err
		}
		n++
		if err := do(at, NewAnswer(db, p, r.Grammar), p); err != nil {
			return n, err
		}
	}
	return n, nil
}

// text is what people read about one SYN.
func (r Report) text(at time.Time, a Answer, p *packet.Packet, hasSequence bool) string {
	var b strings.Builder
	if !at.IsZero() {
		b.WriteString(wording.Time(at) + " ")
	}
	fmt.Fprintln(&b, a)
	var more []string
	if r.Format == Details {
		more = Words(p, hasSequence)
	}
	if !a.Known() {
		more = append(more, strings.Split(Rule(p, r.Grammar), "\n")...)
	}
	for _, line := range more {
		fmt.Fprintln(&b, "    "+line)
	}
	return b.String()
}
