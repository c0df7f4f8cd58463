package event

import (
	"fmt"
	"log/slog"
)

// PolicyWarning: a setting of the policy is legal but weak.
type PolicyWarning struct {
	Text string // a sentence, with the place in front
	Place
}

// Place is a position in the policy.
type Place struct {
	File string
	// Row and Column count from 1. They are 0 if the warning is about the whole file.
	Row, Column int
}

// Line implements Event.
func (e PolicyWarning) Line() Line {
	return Line{"policy", slog.LevelWarn, e.Text, []slog.Attr{
		slog.String("file", e.File), slog.Int("line", e.Row), slog.Int("column", e.Column),
	}}
}

// PolicyWarningsOmitted: there are more warnings than have an event each.
type PolicyWarningsOmitted struct{ Count int }

// Line implements Event.
func (e PolicyWarningsOmitted) Line() Line {
	return Line{"policy", slog.LevelWarn, fmt.Sprintf("and %d more warnings: nftknockd check lists them", e.Count),
		[]slog.Attr{slog.Int("omitted", e.Count)}}
}
