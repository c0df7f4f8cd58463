package event

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// RunningGrant identifies a grant that is running or has ended: Source may reach
// the service Open, or could until it ended.
type RunningGrant struct {
	Source netip.Prefix
	Access string // empty for a grant that the daemon did not make
	Open   port.Range
}

func (g RunningGrant) fields(more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{
		slog.String("src", wording.Prefix(g.Source)), slog.String("access", g.Access), slog.String("open", g.Open.String()),
	}, more...)
}

// line returns the line of an event: the sentence is "access of SOURCE to SERVICE" and what
// became of it.
func (g RunningGrant) line(name, became string, more ...slog.Attr) Line {
	return Line{name, slog.LevelInfo, "access of " + wording.Prefix(g.Source) + " to " + g.Open.String() + " " + became, g.fields(more...)}
}

// Ended: the timeout of a grant is over.
type Ended struct {
	RunningGrant
	Timeout time.Duration
	// GrantLogged says that the log has a line about the grant. Then the line about its
	// end is not limited.
	GrantLogged bool
}

// Line implements Event.
func (e Ended) Line() Line {
	return e.line("ended", "ended, "+wording.Duration(e.Timeout)+" timeout exceeded", slog.String("timeout", e.Timeout.String()))
}

func (e Ended) limit() (class, string) {
	// A reader who has seen the line of the grant waits for the line of its end.
	if e.GrantLogged {
		return unlimited, ""
	}
	return ends, e.Access
}

// EndedEarly: a command, or a change of the policy, ended a grant before its timeout.
type EndedEarly struct {
	RunningGrant
	Reason string // `revoked`, `access "ssh" was removed by a reload`
}

// Line implements Event.
func (e EndedEarly) Line() Line {
	return e.line("ended", "ended: "+e.Reason, slog.String("reason", e.Reason))
}

// Shortened: a change of the policy leaves a grant less time.
type Shortened struct {
	RunningGrant
	Left   time.Duration
	Reason string
}

// Line implements Event.
func (e Shortened) Line() Line {
	return e.line("shortened", "shortened to "+wording.Duration(e.Left)+": "+e.Reason, slog.String("reason", e.Reason))
}

// Narrowed: a change of the policy leaves a grant fewer ports.
type Narrowed struct {
	RunningGrant
	To     []port.Range
	Reason string
}

// Line implements Event.
func (e Narrowed) Line() Line {
	return e.line("narrowed", "narrowed to "+port.Join(e.To)+": "+e.Reason, slog.String("reason", e.Reason))
}

// EndingsOmitted: more grants ended than have an event each.
type EndingsOmitted struct {
	Count  int
	Reason string // of all of them; empty if the policy changed
}

// Line implements Event.
func (e EndingsOmitted) Line() Line {
	omitted, more := slog.Int("omitted", e.Count), wording.Count(e.Count, "more grant", "more grants")
	if e.Reason == "" {
		return Line{"ended", slog.LevelInfo, more + " ended, shortened or narrowed, because the policy changed", []slog.Attr{omitted}}
	}
	return Line{"ended", slog.LevelInfo, more + " ended: " + e.Reason, []slog.Attr{omitted, slog.String("reason", e.Reason)}}
}

// Resumed: a grant of an earlier run of the daemon continues.
type Resumed struct {
	RunningGrant
	Remaining time.Duration
}

// Line implements Event.
func (e Resumed) Line() Line {
	return e.line("resumed", "continues for "+wording.Duration(e.Remaining.Round(time.Second)))
}

// ResumedOmitted: more grants continue than have an event each.
type ResumedOmitted struct{ Count int }

// Line implements Event.
func (e ResumedOmitted) Line() Line {
	return Line{"resumed", slog.LevelInfo, wording.Count(e.Count, "more grant continues", "more grants continue"),
		[]slog.Attr{slog.Int("omitted", e.Count)}}
}

// Cut: a command ended connections.
type Cut struct {
	Source      netip.Prefix
	Open        port.Range // the services to which they led
	Connections int
}

// Line implements Event.
func (e Cut) Line() Line {
	return Line{"cut", slog.LevelInfo,
		fmt.Sprintf("%s of %s to %s cut", wording.Count(e.Connections, "connection", "connections"), wording.Prefix(e.Source), e.Open),
		[]slog.Attr{slog.String("src", wording.Prefix(e.Source)), slog.String("open", e.Open.String()), slog.Int("connections", e.Connections)}}
}

// GrantedByHand: a command let a source in without a knock.
type GrantedByHand struct {
	RunningGrant
	Timeout time.Duration
	// UID and PID are those of the process that asked, -1 if they are not known.
	UID, PID int
}

// Line implements Event.
func (e GrantedByHand) Line() Line {
	text := "granted " + wording.Prefix(e.Source) + " access to " + e.Open.String() + " for " + wording.Duration(e.Timeout) + " by hand"
	fields := []slog.Attr{slog.String("timeout", e.Timeout.String())}
	if e.UID >= 0 {
		text += fmt.Sprintf(", as user %d asked", e.UID)
		fields = append(fields, slog.Int("uid", e.UID), slog.Int("pid", e.PID))
	}
	return Line{"granted_by_hand", slog.LevelInfo, text, e.fields(fields...)}
}
