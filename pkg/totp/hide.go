package totp

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is printed in the place of a secret.
const hidden = "[secret]"

// Format implements fmt.Formatter: it prints "[secret]" for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// String returns "[secret]", for callers that do not use package fmt.
func (s Secret) String() string { return hidden }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler, which the encoders of JSON, XML and
// TOML call.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
