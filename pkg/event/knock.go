package event

import (
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
)

// Kind is a kind of knock: the value of the policy's key "knock".
type Kind string

// The kinds.
const (
	KindShared    Kind = "shared"
	KindEncrypted Kind = "encrypted"
	KindTOTP      Kind = "totp"
	KindSPA       Kind = "spa"
)

// Knock has the fields that all events about a knock have.
type Knock struct {
	Source netip.Addr
	Access string // Access and Kind are empty if the knock may have been meant for several
	Kind   Kind
}

// fields returns "src", and "access" and "knock" if they are known, before more.
func (k Knock) fields(more ...slog.Attr) []slog.Attr {
	fields := []slog.Attr{slog.String("src", k.Source.String())}
	if k.Access != "" {
		fields = append(fields, slog.String("access", k.Access), slog.String("knock", string(k.Kind)))
	}
	return append(fields, more...)
}

// noun is the log's name for a knock of the kind.
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

// matched is the sentence about a knock that matched, without the source at its end.
func (k Kind) matched() string {
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

// KnockMatched: a key decrypted a knock, or a code or shared sequence was right.
type KnockMatched struct{ Knock }

// Line implements Event.
func (e KnockMatched) Line() Line {
	return Line{"matched", slog.LevelInfo, e.Kind.matched() + e.Source.String(), e.fields()}
}

// OSGuessed: the operating system that sent a knock is one that its access requires.
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

// quotedUser puts quotes around a name that has blanks or quotes, since the rest of the
// sentence could be taken for a part of it. No name has characters that do not print.
func quotedUser(name string) string {
	if strings.ContainsAny(name, " \"") {
		return strconv.Quote(name)
	}
	return name
}

// UserMatched: a knock carries the name of a user who may knock.
type UserMatched struct {
	Knock
	User string
}

// Line implements Event.
func (e UserMatched) Line() Line {
	return Line{"user", slog.LevelInfo, "username " + quotedUser(e.User) + " match", []slog.Attr{
		slog.String("src", e.Source.String()), slog.String("access", e.Access), slog.String("user", e.User),
	}}
}
