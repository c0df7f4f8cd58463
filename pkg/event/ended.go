package event

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Passage is a grant that runs, or did: who may reach what.
type Passage struct {
	Source netip.Prefix
	Access string // empty for a grant that names none
	Open   port.Range
}

func (p Passage) fields(more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{
		slog.String("src", wording.Source(p.Source)), slog.String("access", p.Access), slog.String("open", p.Open.String()),
	}, more...)
}

// line is one about the grant, which became what an event says.
func (p Passage) line(name, became string, more ...slog.Attr) Line {
	return Line{name, slog.LevelInfo, "access of " + wording.Source(p.Source) + " to " + p.Open.String() + " " + became, p.fields(more...)}
}

// Ended: the time of a grant is over.
type Ended struct {
	Passage
	Timeout time.Duration
	// Told says that the log has a line about the grant: then it has one about its
	// end, too. The ends of others are limited.
	Told bool
}

// Line implements Event.
func (e Ended) Line() Line {
	return e.line("ended", "ended, "+wording.Duration(e.Timeout)+" timeout exceeded", slog.String("timeout", e.Timeout.String()))
}

func (e Ended) limit() (class, string) {
	if e.Told {
		return unlimited, ""
	}
	return ends, e.Access
}

// EndedEarly: a grant was ended before its time.
type EndedEarly struct {
	Passage
	Reason string // `revoked`, `access "ssh" was removed by a reload`
}

// Line implements Event.
func (e EndedEarly) Line() Line {
	return e.line("ended", "ended: "+e.Reason, slog.String("reason", e.Reason))
}

// Shortened: the policy leaves a grant less time.
type Shortened struct {
	Passage
	Left   time.Duration
	Reason string
}

// Line implements Event.
func (e Shortened) Line() Line {
	return e.line("shortened", "shortened to "+wording.Duration(e.Left)+": "+e.Reason, slog.String("reason", e.Reason))
}

// Narrowed: the policy leaves a grant fewer ports.
type Narrowed struct {
	Passage
	To     []port.Range
	Reason string
}

// Line implements Event.
func (e Narrowed) Line() Line {
	return e.line("narrowed", "narrowed to "+port.Join(e.To)+": "+e.Reason, slog.String("reason", e.Reason))
}

// EndingsOmitted stands for endings beyond those that are told one by one.
type EndingsOmitted struct {
	Count  int
	Reason string // what all of them have in common; empty for the policy
}

// Line implements Event.
func (e EndingsOmitted) Line() Line {
	omitted, more := slog.Int("omitted", e.Count), wording.Count(e.Count, "more grant", "more grants")
	if e.Reason == "" {
		return Line{"ended", slog.LevelInfo, more + " ended or shortened by the policy", []slog.Attr{omitted}}
	}
	return Line{"ended", slog.LevelInfo, more + " ended: " + e.Reason, []slog.Attr{omitted, slog.String("reason", e.Reason)}}
}

// Resumed: a grant of an earlier run continues.
type Resumed struct {
	Passage
	Remaining time.Duration
}

// Line implements Event.
func (e Resumed) Line() Line {
	return e.line("resumed", "continues for "+wording.Duration(e.Remaining.Round(time.Second)))
}

// ResumedOmitted stands for grants that continue beyond those that are told one by one.
type ResumedOmitted struct{ Count int }

// Line implements Event.
func (e ResumedOmitted) Line() Line {
	return Line{"resumed", slog.LevelInfo, wording.Count(e.Count, "more grant continues", "more grants continue"),
		[]slog.Attr{slog.Int("omitted", e.Count)}}
}

// Cut: connections were ended on demand.
type Cut struct {
	Source      netip.Prefix
	Open        port.Range // the services that they were to
	Connections int
}

// Line implements Event.
func (e Cut) Line() Line {
	return Line{"cut", slog.LevelInfo,
		fmt.Sprintf("%s of %s to %s cut", wording.Count(e.Connections, "connection", "connections"), wording.Source(e.Source), e.Open),
		[]slog.Attr{slog.String("src", wording.Source(e.Source)), slog.String("open", e.Open.String()), slog.Int("connections", e.Connections)}}
}
