package totp

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what is read in the place of a secret.
const hidden = "[secret]"

// Format implements fmt.Formatter: every verb and flag gives "[secret]".
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// String gives "[secret]" to what prints without package fmt.
func (s Secret) String() string { return hidden }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler, which the encoders of JSON,
// XML and TOML ask.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }
