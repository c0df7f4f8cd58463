package policy

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
)

// Severity tells errors from warnings.
type Severity string

// The severities. A policy with an error is not used; one with warnings is.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// A Diagnostic is one thing to say about a policy file.
type Diagnostic struct {
	File string `json:"file"`
	// From is the file whose text stood in for that of File (see Review), empty for none.
	From string `json:"from,omitempty"`
	// Line and Column count from 1, the column in characters. Both are 0
	// when the file as a whole is meant.
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // what is wrong
	Hint     string   `json:"hint"`    // what would be right; may be empty
	// Code is the same for all findings of a kind, for programs; empty for most kinds.
	Code Code `json:"code,omitempty"`
}

// String returns one line, "file:3:7: error: message; hint".
func (d Diagnostic) String() string {
	return d.place() + ": " + string(d.Severity) + ": " + d.text()
}

// Text is String without the severity, for logs that have their own way of
// saying that.
func (d Diagnostic) Text() string { return d.place() + ": " + d.text() }

func (d Diagnostic) place() string {
	name := d.File
	if d.From != "" {
		name += " (text of " + d.From + ")"
	}
	return Pos{name, d.Line, d.Column}.String()
}

func (d Diagnostic) text() string {
	if d.Hint == "" {
		return d.Message
	}
	return d.Message + "; " + d.Hint
}

// Code names a kind of finding that programs may want to tell from others.
type Code string

// The codes. They keep their names.
const (
	CodePolicyMissing      Code = "policy_missing"      // a policy file does not exist
	CodePolicyUnreadable   Code = "policy_unreadable"   // a policy file cannot be read
	CodePermissions        Code = "permissions"         // owner or mode of a policy file
	CodeUnknownKey         Code = "unknown_key"         // a key that this table does not have
	CodeFileIgnored        Code = "file_ignored"        // a file of conf.d that is not read
	CodeKeyMissing         Code = "key_missing"         // a key file or credential does not exist
	CodeKeyUnreadable      Code = "key_unreadable"      // this user, or process, cannot read it
	CodeKeyBad             Code = "key_bad"             // what is there is not a good key
	CodeDatabaseMissing    Code = "database_missing"    // a signature file does not exist
	CodeDatabaseUnreadable Code = "database_unreadable" // this user cannot read it
	CodeNothingEnabled     Code = "nothing_enabled"     // no access is enabled
	CodePublished          Code = "published_sequence"  // a sequence out of an example
	CodeLimit              Code = "limit"               // an access that will be used up
	CodeHost               Code = "host"                // about this host as it is now
)

// code sets the code of the last diagnostic.
func (ds Diagnostics) code(c Code) { ds[len(ds)-1].Code = c }

// codeOf is the code of a file that could not be read: missing, or otherwise unreadable.
func codeOf(err error, missing, unreadable Code) Code {
	if errors.Is(err, fs.ErrNotExist) {
		return missing
	}
	return unreadable
}

// Diagnostics are in the order in which the files were read, and within a
// file by line and column.
type Diagnostics []Diagnostic

// HasErrors reports whether any of them is an error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == SeverityError })
}

// Err is nil when there are at most warnings, and ds itself otherwise.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return ds
}

// Error returns one line for each diagnostic, warnings too. Use Err to turn
// Diagnostics into an error.
func (ds Diagnostics) Error() string {
	lines := make([]string, len(ds))
	for i, d := range ds {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// sort orders ds by the order of files, then line and column. Those of one
// place stay as they are.
func (ds Diagnostics) sort(files []string) {
	// Checks that look at several accesses come last, and so do their diagnostics.
	rank := make(map[string]int, len(files))
	for i, f := range files {
		rank[f] = i
	}
	slices.SortStableFunc(ds, func(a, b Diagnostic) int {
		return cmp.Or(
			cmp.Compare(rank[a.File], rank[b.File]),
			cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Column, b.Column),
		)
	})
}
