package daemon

import (
	"errors"
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
		{logqueue.Gap{Lines: 7}, "<3>error: 7 log lines were lost because whoever reads the log was too slow [event=log_lost omitted=7]\n"},
		{logqueue.Gap{Lines: 1, Err: errors.New("disk full")}, "<3>error: 1 log line was lost: disk full [event=log_lost omitted=1]\n"},
	} {
		if got := string(lost(c.gap)); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
