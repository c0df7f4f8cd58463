package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is what is read in the place of a key.
const hidden = "[secret]"

// Format implements fmt.Formatter: every verb and flag gives "[secret]".
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// String gives "[secret]" to what prints without package fmt.
func (k Key) String() string { return hidden }

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler, which the encoders of JSON,
// XML and TOML ask.
func (k Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }
