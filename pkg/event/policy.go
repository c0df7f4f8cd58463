package event

import (
	"fmt"
	"log/slog"
)

// PolicyWarning: something in the policy is legal and weak.
type PolicyWarning struct {
	Text string // a sentence, with the place in front
	Place
}

// Place is where in the policy something stands.
type Place struct {
	File string
	// Row and Column count from 1; 0 where there is none.
	Row, Column int
}

// Line implements Event.
func (e PolicyWarning) Line() Line {
	return Line{"policy", slog.LevelWarn, e.Text, []slog.Attr{
		slog.String("file", e.File), slog.Int("line", e.Row), slog.Int("column", e.Column),
	}}
}

// PolicyWarningsOmitted stands for warnings beyond those that are told one by one.
type PolicyWarningsOmitted struct{ Count int }

// Line implements Event.
func (e PolicyWarningsOmitted) Line() Line {
	return Line{"policy", slog.LevelWarn, fmt.Sprintf("and %d more warnings: nftknockd check lists them", e.Count),
		[]slog.Attr{slog.Int("omitted", e.Count)}}
}
