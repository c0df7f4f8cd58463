package event

import "log/slog"

// reason returns the field for an error.
func reason(err error) slog.Attr { return slog.String("reason", err.Error()) }
