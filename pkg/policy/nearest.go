package policy

import "strings"

// nearest returns the candidate that s is most likely a misspelling of, or ""
// if none is close: at most two edits away, and fewer than half its letters.
func nearest(s string, candidates []string) string {
	const maxEdits = 2
	best, found := maxEdits+1, ""
	for _, c := range candidates {
		// TOML's keys have upper and lower case, and people forget it.
		if strings.EqualFold(s, c) {
			return c
		}
		if abs(len(s)-len(c)) > maxEdits {
			continue
		}
		if n := edits(strings.ToLower(s), c); n < best && 2*n < len(c) {
			best, found = n, c
		}
	}
	return found
}

func abs(n int) int { return max(n, -n) }

// edits counts the bytes to insert, delete, replace or swap with a neighbour to
// make b of a (optimal string alignment).
func edits(a, b string) int {
	// Three rows of the usual table are enough: older is the one before prev, which
	// swapped neighbours need.
	var older []int
	prev := make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			row[j+1] = min(prev[j+1], row[j]) + 1
			if a[i] == b[j] {
				row[j+1] = min(row[j+1], prev[j])
			} else {
				row[j+1] = min(row[j+1], prev[j]+1)
			}
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, prev = prev, row
	}
	return prev[len(b)]
}
