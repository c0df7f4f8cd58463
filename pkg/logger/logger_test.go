package logger

import (
	"errors"
	"strings"
	"testing"

	"nftknock/pkg/logqueue"
	"nftknock/pkg/policy"
)

// What is missing is said in the log's own format, whatever its level.
func TestLostLines(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "8:1")
	lost := LostLines(policy.Log{Format: policy.LogAuto, Level: policy.LevelError})
	for _, c := range []struct {
		gap  logqueue.Gap
		want string
	}{
		{logqueue.Gap{Lines: 7}, "<3>error: 7 log lines were lost because the reader of the log was too slow [event=log_lost omitted=7]\n"},
		{logqueue.Gap{Lines: 1, Err: errors.New("disk full")}, "<3>error: 1 log line was lost: disk full [event=log_lost omitted=1]\n"},
	} {
		if got := string(lost(c.gap)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// The journal takes the priority from the line, whatever its format is.
func TestPriorityForTheJournal(t *testing.T) {
	for _, journal := range []string{"8:1", ""} {
		t.Setenv("JOURNAL_STREAM", journal)
		for _, format := range []policy.LogFormat{policy.LogAuto, policy.LogText, policy.LogJSON} {
			var out strings.Builder
			log, _ := New(&out, policy.Log{Format: format, Level: policy.LevelDebug})
			log = log.With("a", "b")
			log.Debug("one")
			log.Info("two")
			log.Warn("three")
			log.Error("four\nfive")
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(lines) != 4 {
				t.Fatalf("%s: %d lines, want 4:\n%s", format, len(lines), &out)
			}
			for i, want := range []string{"<7>", "<6>", "<4>", "<3>"} {
				if got := strings.HasPrefix(lines[i], want); got != (journal != "") {
					t.Errorf("%s, JOURNAL_STREAM=%q: %s", format, journal, lines[i])
				}
			}
		}
	}
}
