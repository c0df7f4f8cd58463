package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// hidden is printed in the place of a key.
const hidden = "[secret]"

// Format implements fmt.Formatter: it prints "[secret]" for every verb and flag.
func (k Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// String returns "[secret]", for callers that do not use package fmt.
func (k Key) String() string { return hidden }

// LogValue implements slog.LogValuer.
func (k Key) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText implements encoding.TextMarshaler, which the encoders of JSON, XML and
// TOML call.
func (k Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }
