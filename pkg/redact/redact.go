// Package redact keeps key material out of what people read: messages, logs and
// encoded documents.
package redact

import (
	"fmt"
	"io"
	"log/slog"
)

// Text is what is printed in place of a secret.
const Text = "[secret]"

// Value, embedded in a struct, makes the struct print as Text, with every verb, logger and
// encoder. NB: the methods do not protect a struct in an unexported field of another one.
// Package fmt cannot call them there, and prints the fields by reflection. A type that may be
// such a field must keep its secret where reflection does not show it, such as in a closure.
type Value struct{}

// Format implements fmt.Formatter: every verb and flag gives Text.
func (Value) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Text) }

// String implements fmt.Stringer, for code that prints without package fmt.
func (Value) String() string { return Text }

// LogValue implements slog.LogValuer.
func (Value) LogValue() slog.Value { return slog.StringValue(Text) }

// MarshalText implements encoding.TextMarshaler, which the encoders of JSON, XML
// and TOML call.
func (Value) MarshalText() ([]byte, error) { return []byte(Text), nil }
