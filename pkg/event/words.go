package event

import "log/slog"

// reason is the field of an error.
func reason(err error) slog.Attr { return slog.String("reason", err.Error()) }
