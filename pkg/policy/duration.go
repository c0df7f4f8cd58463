package policy

import (
	"fmt"
	"time"

	"nftknock/pkg/wording"
)

// duration reads a string such as "30s", from lo to hi.
//
// A bare number is an error whatever its value: a decoder that took it for
// nanoseconds would turn "timeout = 30" into a set element whose timeout the kernel
// rounds down to none: the service would stay open.
func (t *table) duration(key string, dst *time.Duration, lo, hi time.Duration) {
	if !t.has(key) {
		return
	}
	var s string
	switch v := t.values[key].(type) {
	// TOML has no type for durations, so they are strings.
	case string:
		s = v
	case int64:
		// Up to a day it is likely that seconds are meant.
		t.bareNumber(key, v, fmt.Sprintf("%ds", v), v >= 0 && v <= 86400)
		return
	case float64:
		t.bareNumber(key, v, fmt.Sprintf("%vs", v), v >= 0.001 && v <= 86400)
		return
	default:
		t.mismatch(key, `a duration in quotes, such as "30s"`)
		return
	}
	// It reads no days and no blanks; the hint says so.
	d, err := time.ParseDuration(s)
	switch {
	case err != nil:
		t.fail(t.valueAt(key), fmt.Sprintf("bad duration %s for %s", quote(s), key),
			`want numbers with the units "h", "m", "s" or "ms" and no blanks, such as "30s" or "1h30m"; a day is "24h"`)
		return
	case d < lo || d > hi:
		t.fail(t.valueAt(key), fmt.Sprintf("%s = %s is out of range", key, quote(s)),
			fmt.Sprintf("want a duration from %s to %s", wording.Duration(lo), wording.Duration(hi)))
		return
	}
	*dst = d
}

// bareNumber reports a duration without a unit. The likely one in seconds
// makes the hint, if it is likely at all.
func (t *table) bareNumber(key string, v any, seconds string, likely bool) {
	if !likely {
		seconds = "30s"
	}
	t.fail(t.valueAt(key), fmt.Sprintf("%s = %v has no unit", key, v),
		fmt.Sprintf(`durations are strings with a unit: %s = %q`, key, seconds))
}
