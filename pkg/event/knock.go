package event

import (
	"log/slog"
	"net/netip"
)

// Kind is a kind of knock, in the word that the policy has for it.
type Kind string

// The kinds.
const (
	KindShared    Kind = "shared"
	KindEncrypted Kind = "encrypted"
	KindTOTP      Kind = "totp"
	KindSPA       Kind = "spa"
)

// Knock is what events about one knock have in common.
type Knock struct {
	Source netip.Addr
	Access string // with Kind empty where the knock may have been meant for several
	Kind   Kind
}

// fields are "src", and "access" and "knock" where they are known.
func (k Knock) fields(more ...slog.Attr) []slog.Attr {
	fields := []slog.Attr{slog.String("src", k.Source.String())}
	if k.Access != "" {
		fields = append(fields, slog.String("access", k.Access), slog.String("knock", string(k.Kind)))
	}
	return append(fields, more...)
}

// noun is what the log calls a knock of the kind.
func (k Kind) noun() string {
	switch k {
	case KindShared:
		return "port knock access sequence"
	case KindEncrypted:
		return "encrypted knock sequence"
	case KindTOTP:
		return "one-time code"
	case KindSPA:
		return "SPA packet"
	}
	return "knock"
}

// opening is the sentence about a knock that is honoured, up to its source.
func (k Kind) opening() string {
	switch k {
	case KindEncrypted:
		return "decrypting knock sequence for "
	case KindTOTP:
		return "one-time code matched for "
	case KindSPA:
		return "decrypting SPA packet for "
	}
	return "port knock access sequence matched for "
}

// KnockMatched: a knock is the one of its access.
type KnockMatched struct{ Knock }

// Line implements Event.
func (e KnockMatched) Line() Line {
	return Line{"matched", slog.LevelInfo, e.Kind.opening() + e.Source.String(), e.fields()}
}

// OSGuessed: the system that sent a knock is the one that its access requires.
type OSGuessed struct {
	Knock
	OS       string // the label of the signature; it may be empty
	Required string // as the policy writes it
}

// Line implements Event.
func (e OSGuessed) Line() Line {
	return Line{"os", slog.LevelInfo, "OS guess: " + e.OS + " matched for " + e.Source.String(), []slog.Attr{
		slog.String("src", e.Source.String()), slog.String("access", e.Access),
		slog.String("os", e.OS), slog.String("os_required", e.Required),
	}}
}

// UserMatched: a knock carries the name of a user who may knock.
type UserMatched struct {
	Knock
	User string
}

// Line implements Event.
func (e UserMatched) Line() Line {
	return Line{"user", slog.LevelInfo, "username " + e.User + " match", []slog.Attr{
		slog.String("src", e.Source.String()), slog.String("access", e.Access), slog.String("user", e.User),
	}}
}
