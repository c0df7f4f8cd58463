package event

import (
	"log/slog"
	"net/netip"
	"time"

	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Grant has the fields of events about one service that a knock opens, or was to open.
type Grant struct {
	Knock
	Allow   netip.Addr   // the address that the knock asks access for; often its source
	To      netip.Prefix // the source that gets access: Allow, or a prefix around it
	Open    port.Range
	Forward port.Target // where Open leads; zero for this host
	Timeout time.Duration
	OS      string // empty if unknown
	User    string // empty if the knock names none
}

func (g Grant) fields(more ...slog.Attr) []slog.Attr {
	fields := []slog.Attr{
		slog.String("src", g.Allow.String()), slog.String("access", g.Access), slog.String("knock", string(g.Kind)),
		slog.String("open", g.Open.String()), slog.String("timeout", g.Timeout.String()),
	}
	if g.Forward.Port != 0 {
		fields = append(fields, slog.String("forward", g.Forward.String()))
	}
	// "src" is the address that gets access; "by" is the one that sent the knock.
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

// text is the part of the sentence that says which source gets access to which service.
func (g Grant) text() string {
	text := wording.Prefix(g.To) + " access to " + g.Open.String()
	if g.Forward.Port != 0 {
		text += " (forwarded to " + g.Forward.String() + ")"
	}
	return text
}

// Granted: a knock has opened a service. OSGuessed, KnockMatched and UserMatched come before
// it in the same Emit, so that the log has all of them or none.
type Granted struct{ Grant }

// Line implements Event.
func (e Granted) Line() Line {
	return Line{"granted", slog.LevelInfo, "granted " + e.text() + " for " + wording.Duration(e.Timeout), e.fields()}
}

func (e Granted) limit() (class, string) { return grantLines, e.Access }

// GrantFailed: a knock is valid, but its grant could not be written to the table.
type GrantFailed struct {
	Grant
	Err error
}

// Line implements Event.
func (e GrantFailed) Line() Line {
	return Line{"grant_failed", slog.LevelError, "cannot grant " + e.text() + ": " + e.Err.Error() +
		"; the knock opened nothing; repair this, then knock again", e.fields(reason(e.Err))}
}

func (e GrantFailed) limit() (class, string) { return failures, e.Access }

// Unrecorded: a knock is valid, but opens nothing, because the store of spent tokens could
// not record it.
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
