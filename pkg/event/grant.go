package event

import (
	"log/slog"
	"net/netip"
	"time"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Grant is what a knock opens: one service.
type Grant struct {
	Knock
	Allow   netip.Addr   // whom the knock asks to let in: its source, or another address
	To      netip.Prefix // who is let in: Allow, or the prefix around it that the access says
	Open    port.Range
	Timeout time.Duration
	OS      string // empty where none was told
	User    string // empty where the knock names none
}

func (g Grant) fields(more ...slog.Attr) []slog.Attr {
	fields := []slog.Attr{
		slog.String("src", g.Allow.String()), slog.String("access", g.Access), slog.String("knock", string(g.Kind)),
		slog.String("open", g.Open.String()), slog.String("timeout", g.Timeout.String()),
	}
	if g.Allow != g.Source {
		fields = append(fields, slog.String("by", g.Source.String()))
	}
	if g.OS != "" {
		fields = append(fields, slog.String("os", g.OS))
	}
	if g.User != "" {
		fields = append(fields, slog.String("user", g.User))
	}
	return append(fields, more...)
}

// words are the part of the sentence that says who gets what.
func (g Grant) words() string { return wording.Source(g.To) + " access to " + g.Open.String() }

// Granted: a knock has opened a service. OSGuessed, KnockMatched and UserMatched go
// before it in the same Emit, so that they are told if it is.
type Granted struct{ Grant }

// Line implements Event.
func (e Granted) Line() Line {
	return Line{"granted", slog.LevelInfo, "granted " + e.words() + " for " + wording.Duration(e.Timeout), e.fields()}
}

func (e Granted) limit() (class, string) { return grants, e.Access }

// GrantFailed: a knock is good, and the table could not be told to let it in.
type GrantFailed struct {
	Grant
	Err error
}

// Line implements Event.
func (e GrantFailed) Line() Line {
	return Line{"grant_failed", slog.LevelError, "cannot grant " + e.words() + ": " + e.Err.Error() +
		"; the knock does not open it: knock again once that is mended", e.fields(reason(e.Err))}
}

func (e GrantFailed) limit() (class, string) { return failures, e.Access }

// Unrecorded: a knock is good, and is not honoured because the replay store could not
// record it.
type Unrecorded struct {
	Knock
	Err error
}

// Line implements Event.
func (e Unrecorded) Line() Line {
	return Line{"unrecorded", slog.LevelError,
		"cannot record the knock of " + e.Source.String() + ", so it opens nothing: " + e.Err.Error(), e.fields(reason(e.Err))}
}

func (e Unrecorded) limit() (class, string) { return failures, e.Access }
