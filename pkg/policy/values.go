package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nftknock/pkg/invalid"
)

// The getters of a table's values: one line in a reader function is all that a
// key needs.

// text reads a string.
func (t *table) text(key string, dst *string) bool {
	if !t.has(key) {
		return false
	}
	s, ok := t.values[key].(string)
	if !ok {
		t.mismatch(key, "a string in quotes")
		return false
	}
	*dst = s
	return true
}

// boolean reads true or false.
func (t *table) boolean(key string, dst *bool) {
	if !t.has(key) {
		return
	}
	b, ok := t.values[key].(bool)
	if !ok {
		t.mismatch(key, "true or false, without quotes")
		return
	}
	*dst = b
}

// bounds are the least and the greatest value of a number.
type bounds struct{ least, most int64 }

// integer reads a number within bounds.
func integer[N ~int | ~uint8 | ~uint16](t *table, key string, dst *N, within bounds) bool {
	if !t.has(key) {
		return false
	}
	want := fmt.Sprintf("an integer from %d to %d", within.least, within.most)
	// The decoder gives an int64 for every integer, and a float64 for 5.0.
	n, ok := t.values[key].(int64)
	switch {
	case !ok:
		t.mismatch(key, want)
		return false
	case n < within.least || n > within.most:
		t.fail(t.valueAt(key), fmt.Sprintf("%s = %d is out of range", key, n), "want "+want)
		return false
	}
	*dst = N(n)
	return true
}

// parsed reads a string that parse makes something of.
func parsed[T any](t *table, key string, dst *T, parse func(string) (T, error)) bool {
	var s string
	if !t.text(key, &s) {
		return false
	}
	v, err := parse(s)
	if err != nil {
		t.refuse(t.valueAt(key), err)
		return false
	}
	*dst = v
	return true
}

// words are the values that a key can have.
type words[S ~string] struct {
	known []S
	later []S // those of later versions
}

// choice reads one of some words.
func choice[S ~string](t *table, key string, dst *S, of words[S]) bool {
	if !t.has(key) {
		return false
	}
	want := oneOf(of.known)
	s, ok := t.values[key].(string)
	if !ok {
		t.mismatch(key, want)
		return false
	}
	if slices.Contains(of.known, S(s)) {
		*dst = S(s)
		return true
	}
	message := fmt.Sprintf("bad %s %s", key, quote(s))
	if slices.Contains(of.later, S(s)) {
		message = fmt.Sprintf("%s %q is not supported by this version", key, s)
	}
	t.fail(t.valueAt(key), message, "want "+want)
	return false
}

func oneOf[S ~string](words []S) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("%q", string(w))
	}
	last := len(quoted) - 1
	if last == 0 {
		return quoted[0]
	}
	return strings.Join(quoted[:last], ", ") + " or " + quoted[last]
}

// maxItems is more than any list may have. Each bad item has a diagnostic, and
// these are not to be millions.
const maxItems = 4096

// list reads an array of strings and has parse look at each of them; an
// error of parse is reported at the item. An empty array gives nil.
func list[T any](t *table, key string, dst *[]T, parse func(string) (T, error)) bool {
	if !t.has(key) {
		return false
	}
	items, ok := t.values[key].([]any)
	if !ok {
		t.mismatch(key, `an array of strings: ["...", "..."]`)
		return false
	}
	if len(items) > maxItems {
		t.fail(t.valueAt(key), fmt.Sprintf("%s has %d items", key, len(items)), fmt.Sprintf("want far fewer: no list may have more than %d", maxItems))
		return false
	}
	good, out := true, make([]T, 0, len(items))
	for i, item := range items {
		v, err := parseItem(item, parse)
		if err != nil {
			t.refuse(t.itemAt(key, i), err)
			good = false
		}
		// A bad item takes its place too, so that the next ones keep their numbers.
		out = append(out, v)
	}
	switch {
	case !good:
		return false
	case len(out) == 0:
		// As where the key is absent, so that written and read again it is the same.
		out = nil
	}
	*dst = out
	return true
}

func parseItem[T any](item any, parse func(string) (T, error)) (T, error) {
	s, ok := item.(string)
	if !ok {
		var none T
		return none, invalid.New("this item is "+typeName(item), "a string in quotes")
	}
	return parse(s)
}

// refuse reports an error about what stands at a place.
func (t *table) refuse(at Pos, err error) {
	message, hint := halves(err)
	t.fail(at, message, hint)
}

// halves returns the two halves of a diagnostic: what is wrong, and what would be
// right as far as the error says so.
func halves(err error) (message, hint string) {
	message = err.Error()
	var e *invalid.Error
	if errors.As(err, &e) {
		message, hint = e.Problem, e.Want
	}
	if hint != "" {
		hint = "want " + hint
	}
	// Other packages quote their input in full, which here may be a whole file.
	return shorten(message, 200), shorten(hint, 200)
}

// date reads a date or a date and time. What names no zone is local time; a
// date alone is its first moment.
func (t *table) date(key string, dst *time.Time) bool {
	const want = "a date without quotes: 2027-01-31 or 2027-01-31T18:00:00Z"
	if !t.has(key) {
		return false
	}
	v, ok := t.values[key].(time.Time)
	if !ok {
		t.mismatch(key, want)
		return false
	}
	// The decoder tells TOML's four types of date and time apart by the names of these
	// locations (internal/tz.go of BurntSushi/toml).
	switch v.Location().String() {
	case "time-local":
		t.fail(t.valueAt(key), key+" is a time without a date", "want "+want)
		return false
	case "date-local", "datetime-local":
		// The decoder takes today's offset from UTC for every day of the year, which
		// is wrong by an hour where summer time begins or ends in between.
		v = time.Date(v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute(), v.Second(), v.Nanosecond(), time.Local)
	}
	// Later years do not fit the four digits of RFC 3339 in all time zones.
	if v.Year() < 1970 || v.Year() > 9000 {
		t.fail(t.valueAt(key), fmt.Sprintf("%s has the year %d", key, v.Year()), "want a year from 1970 to 9000")
		return false
	}
	*dst = v
	return true
}

// typeName names the TOML type of a decoded value, with its article.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a float"
	case bool:
		return "a boolean"
	case time.Time:
		return "a date or time"
	case map[string]any:
		return "a table"
	case []map[string]any:
		return "an array of tables"
	case []any:
		return "an array"
	}
	return "of an unknown type"
}
