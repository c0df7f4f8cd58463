package event

import (
	"fmt"
	"log/slog"
	"time"

	"nftknock/pkg/wording"
)

// LastPolicy: the policy in the files cannot be used, and the last one that worked is in force
// in its place. It is emitted at the start and every hour.
type LastPolicy struct {
	Err   error     // why the policy in the files cannot be used
	Path  string    // of the policy that is in force; empty if that is the one in the files as they were at the start
	Since time.Time // when that came into force first
}

// Line implements Event.
func (e LastPolicy) Line() Line {
	since := e.Since.UTC().Format(time.RFC3339)
	fields := []slog.Attr{reason(e.Err), slog.String("since", since)}
	if e.Path != "" {
		fields = append(fields, slog.String("file", e.Path))
	}
	return Line{"last_policy", slog.LevelError, "running the last policy that worked, of " + since + ", since the one in the files cannot be used: " +
		e.Err.Error() + `; correct the files, then run "systemctl reload nftknockd"`, fields}
}

// PolicyNotKept: the policy in force cannot be kept as the last one that worked.
type PolicyNotKept struct{ Err error }

// Line implements Event.
func (e PolicyNotKept) Line() Line {
	return Line{"policy_not_kept", slog.LevelError, e.Err.Error() +
		"; if the policy cannot be loaded at the next start, an older one is run, or none; it is tried again every minute", []slog.Attr{reason(e.Err)}}
}

// PolicyKept: the policy in force is kept as the last one that worked, after PolicyNotKept.
type PolicyKept struct{}

// Line implements Event.
func (PolicyKept) Line() Line {
	return Line{"policy_kept", slog.LevelInfo, "the policy in force is kept as the last one that worked", nil}
}

// AccessVoid: no knock opens an access of the policy, since a file that it needs cannot be
// used.
type AccessVoid struct {
	Access string
	Hides
	Err error
}

// Line implements Event.
func (e AccessVoid) Line() Line {
	hidden := ""
	if e.hides() {
		hidden = ", whose services stay hidden"
	}
	return Line{"void", slog.LevelError, fmt.Sprintf("no knock opens access %q%s: %v", e.Access, hidden, e.Err) +
		"; other accesses work; it is tried again every 10s", []slog.Attr{slog.String("access", e.Access), reason(e.Err)}}
}

// AccessesVoidOmitted: there are more such accesses than have an event each.
type AccessesVoidOmitted struct{ Count int }

// Line implements Event.
func (e AccessesVoidOmitted) Line() Line {
	return Line{"void", slog.LevelError, fmt.Sprintf("and no knock opens %s more: nftknockd check lists the reasons", wording.Count(e.Count, "access", "accesses")),
		[]slog.Attr{slog.Int("omitted", e.Count)}}
}

// AccessRestored: an access works again, after AccessVoid.
type AccessRestored struct{ Access string }

// Line implements Event.
func (e AccessRestored) Line() Line {
	return Line{"restored", slog.LevelInfo, fmt.Sprintf("access %q can be used again", e.Access), []slog.Attr{slog.String("access", e.Access)}}
}

// NFLogUnavailable: an NFLOG group cannot be opened, or not be read any more.
type NFLogUnavailable struct {
	Group uint16
	Hides
	Err error
}

// Line implements Event.
func (e NFLogUnavailable) Line() Line {
	hidden := ""
	if e.hides() {
		hidden = "services stay hidden, and "
	}
	return Line{"nflog_unavailable", slog.LevelError, fmt.Sprintf("%sknocks of NFLOG group %d cannot be received: %v", hidden, e.Group, e.Err) +
		"; it is tried again every few seconds", []slog.Attr{reason(e.Err), slog.Int("group", int(e.Group))}}
}

func (NFLogUnavailable) limit() (class, string) { return repairs, "" }

// NFLogRecovered: knocks of an NFLOG group are received again, after NFLogUnavailable.
type NFLogRecovered struct{ Group uint16 }

// Line implements Event.
func (e NFLogRecovered) Line() Line {
	return Line{"nflog", slog.LevelInfo, fmt.Sprintf("knocks of NFLOG group %d are received again", e.Group), []slog.Attr{slog.Int("group", int(e.Group))}}
}

func (NFLogRecovered) limit() (class, string) { return repairs, "" }

// MetricsFailed: the metrics cannot be served.
type MetricsFailed struct{ Err error }

// Line implements Event.
func (e MetricsFailed) Line() Line {
	return Line{"metrics_failed", slog.LevelError, "the metrics cannot be served: " + e.Err.Error() +
		"; knocks are honoured as before; it is tried again every few seconds", []slog.Attr{reason(e.Err)}}
}

// MetricsRecovered: the metrics are served again, after MetricsFailed.
type MetricsRecovered struct{}

// Line implements Event.
func (MetricsRecovered) Line() Line {
	return Line{"metrics", slog.LevelInfo, "the metrics are served again", nil}
}

// ControlRecovered: the control socket works again, after ControlFailed.
type ControlRecovered struct{}

// Line implements Event.
func (ControlRecovered) Line() Line {
	return Line{"control", slog.LevelInfo, "the control socket works again", nil}
}
