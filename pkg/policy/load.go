package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"nftknock/pkg/invalid"
)

// Bounds of what is read.
const (
	maxFileSize  = 8 << 20
	maxTotalSize = 16 << 20
	maxFiles     = 256
	maxAccesses  = 16384
)

// Load reads the policy file at path, then the files *.toml of the directory
// conf.d beside it in the order of their names, hidden ones left out; these
// may hold [[access]] only. None of these may be writable by others than root and
// the effective user. Every signature database named must be a file that
// can be opened. The keys of enabled accesses are read from their files, as
// secret.ReadLine does, and from the service manager's credentials.
//
// With any error the Policy is nil. Otherwise the diagnostics are warnings.
func Load(path string) (*Policy, Diagnostics) {
	l := newLoader(time.Now(), nil)
	l.load(path)
	return l.result()
}

// Outline is Load without the files that the policy names: it opens neither signature
// databases nor keys, so that none of these can make it fail or block. It tells what is
// to be hidden, for which they are not needed.
func Outline(path string) (*Policy, Diagnostics) {
	l := newLoader(time.Now(), nil)
	l.read(path)
	return l.result()
}

// Parse reads the text of one policy file, which diagnostics call file. It
// opens nothing: neither conf.d nor signature databases nor keys. Otherwise it
// is as Load.
func Parse(file string, data []byte) (*Policy, Diagnostics) {
	l := newLoader(time.Now(), nil)
	l.main(file, data)
	return l.result()
}

// A loader gathers a policy from several files.
type loader struct {
	now  time.Time
	host Host
	// review says what Check leaves out or replaces; the zero value is Load.
	review  Review
	lenient bool // keys that cannot be read for lack of permission are warned of
	kept    bool // the text is of WriteKept

	policy   Policy
	nftables *table // of the main file, nil if that could not be read
	entries  []entry
	diags    Diagnostics
	files    []string // in the order in which they are read
	ignored  []string // files of conf.d that are not read
	size     int
}

// newLoader makes a loader that knows a host, or nothing of it if host is nil.
func newLoader(now time.Time, host *Host) *loader {
	l := &loader{now: now, policy: defaults()}
	if host != nil {
		l.host = *host
	}
	return l
}

func (l *loader) fail(file, message, hint string) {
	if !slices.Contains(l.files, file) {
		l.files = append(l.files, file)
	}
	l.diags = append(l.diags, Diagnostic{File: file, Severity: SeverityError, Message: message, Hint: hint})
}

// unread reports a file that was not read, with a hint where the error has none.
func (l *loader) unread(file string, err error, hint string) {
	var e *invalid.Error
	if errors.As(err, &e) {
		message, want := halves(err)
		l.fail(file, message, want)
		l.diags.code(CodePermissions)
		return
	}
	if l.review.from(file) != "" {
		hint = "want a file that can be read in its place"
	}
	if errors.Is(err, fs.ErrPermission) {
		hint = "run this as a user who may read it, such as root"
	}
	l.fail(file, reason(err), hint)
	l.diags.code(codeOf(err, CodePolicyMissing, CodePolicyUnreadable))
}

// load reads the policy and opens what it names.
func (l *loader) load(path string) {
	// Errors in the files are no reason not to look at what they name: an administrator
	// wants to hear of everything at once.
	if root := l.read(path); root != nil {
		l.openDatabases(root.section("fingerprint"))
	}
	l.openKeys()
}

// read reads the main file and those of conf.d. It returns the table of the
// main file, or nil.
func (l *loader) read(path string) *table {
	data, err := l.text(path, nil)
	if err != nil {
		// The package installs a sample and no policy: a first start ends here.
		hint := "want a file that can be read"
		if errors.Is(err, fs.ErrNotExist) {
			hint = `copy the sample policy nftknockd.toml there, or try any file with "nftknockd check FILE"`
		}
		l.unread(path, err, hint)
		return nil
	}
	root := l.main(path, data)
	l.confDir(filepath.Join(filepath.Dir(path), "conf.d"))
	return root
}

// main reads the text of the main file.
func (l *loader) main(file string, data []byte) *table {
	root := l.parse(file, data)
	if root == nil {
		return nil
	}
	readSections(root, &l.policy)
	l.nftables = root.section("nftables")
	// The host's interfaces are known to Check only.
	warnInterfaces(l.nftables, l.policy.NFTables.Interfaces, l.host.Interfaces)
	l.accesses(root)
	root.finish()
	return root
}

// confDir reads the files of conf.d, if there is one.
func (l *loader) confDir(dir string) {
	list, err := confNames(dir)
	if err != nil {
		// A missing directory is fine. A link that leads nowhere is not: what it led
		// to may be on a disk that is not mounted yet, with accesses on it.
		if _, lstat := os.Lstat(dir); lstat == nil || !errors.Is(err, fs.ErrNotExist) {
			l.fail(dir, reason(err), "want a directory that can be read, or none")
			l.diags.code(codeOf(err, CodePolicyMissing, CodePolicyUnreadable))
		}
	}
	// In the order of their names, which is what the administrator is told.
	for _, name := range l.review.addTo(list, dir) {
		path := filepath.Join(dir, name)
		switch {
		case !isConf(name):
			l.ignore(path)
			continue
		case len(l.files) == maxFiles:
			l.fail(path, "too many policy files", fmt.Sprintf("the limit is %d", maxFiles))
			return
		}
		l.confFile(path)
	}
}

// isConf reports whether a file of conf.d is read. Editors and package managers leave hidden
// files and others behind (.swp, .bak).
func isConf(name string) bool { return filepath.Ext(name) == ".toml" && !strings.HasPrefix(name, ".") }

func (l *loader) confFile(path string) {
	data, err := l.text(path, regular)
	if err != nil {
		l.unread(path, err, "every conf.d/*.toml is read; rename it if it is not meant to be")
		return
	}
	root := l.parse(path, data)
	if root == nil {
		return
	}
	l.accesses(root)
	// Two files that set the same key would be settled by the order of their names.
	for _, section := range sectionNames {
		if _, ok := root.values[section]; ok {
			root.has(section)
			root.fail(root.keyAt(section), "["+section+"] is not allowed in conf.d", "move it to the main file; here only [[access]] may stand")
		}
	}
	root.finish()
}

// parse turns one file's text into a table, within the bounds.
func (l *loader) parse(file string, data []byte) *table {
	l.files = append(l.files, file)
	// Reported already, for the file that was too much.
	if l.size > maxTotalSize && !l.kept {
		return nil
	}
	if l.size += len(data); l.size > maxTotalSize && !l.kept {
		l.fail(file, "the policy files are too large together", "the limit is 16 MiB")
		return nil
	}
	d := &document{file: file, text: string(data), diags: &l.diags, kept: l.kept}
	return d.parse()
}

func (l *loader) accesses(root *table) {
	for _, t := range root.sections("access") {
		if len(l.entries) == maxAccesses {
			t.fail(t.at(), "too many accesses", fmt.Sprintf("the limit is %d", maxAccesses))
			return
		}
		// Warnings come later (result), so whatever is reported here is an error.
		before := len(l.diags)
		a := readAccess(t)
		l.entries = append(l.entries, entry{Access: a, table: t, sound: len(l.diags) == before})
	}
}

// openDatabases makes sure that the files can be read when they are needed.
func (l *loader) openDatabases(t *table) {
	for i, path := range l.policy.Fingerprint.Databases {
		if path == Builtin {
			continue
		}
		switch err := openRegular(path); {
		case err == nil:
		case l.lenient && errors.Is(err, fs.ErrPermission):
			t.warn(t.itemAt("databases", i), fmt.Sprintf("database %s cannot be read by this user", quote(path)), "it was not checked; the daemon checks it when it starts")
			t.code(CodeDatabaseUnreadable)
		default:
			t.fail(t.itemAt("databases", i), fmt.Sprintf("database %s: %s", quote(path), reason(err)), `want "builtin" or a file that can be read`)
			t.code(codeOf(err, CodeDatabaseMissing, CodeDatabaseUnreadable))
		}
	}
}

// result applies the rules that look at several accesses and ends the load.
func (l *loader) result() (*Policy, Diagnostics) {
	// Errors first: what is warned of is looked at in sound accesses only.
	checkNames(l.entries)
	checkLayouts(l.entries)
	hidden := l.hidden()
	checkProtected(hidden, l.entries, l.policy.NFLog.Workers)
	checkRanges(hidden)
	checkMode(l.entries, l.policy.NFTables.Mode)
	checkShares(l.entries)
	warnShared(l.entries)
	warnLimits(l.entries)
	warnSilent(l.entries, l.host.Listening)
	enabled := false
	for _, e := range l.entries {
		if e.active() {
			enabled = true
			warnAccess(e, l.now, l.policy.NFTables.Mode)
			warnInUse(e, l.host.Listening)
		}
		l.policy.Accesses = append(l.policy.Accesses, *e.Access)
	}
	// Without an access the daemon does not run, and with errors the accesses that are missing
	// may be those with the errors.
	if l.policy.HasWork() && l.policy.NFTables.Mode == ModeGate && !l.diags.HasErrors() {
		warnUnopened(l.entries, l.policy.NFTables.Protect, l.now)
	}
	if !l.policy.HasWork() && !l.diags.HasErrors() {
		l.diags = append(l.diags, Diagnostic{
			File: l.files[0], Severity: SeverityWarning,
			Message: "no access is enabled, so there is nothing to open",
			Hint:    "write an [[access]], or set enabled = true in one; the daemon does not run without one",
		})
		l.diags.code(CodeNothingEnabled)
	}
	if enabled && l.nftables != nil {
		warnHide(l.nftables, l.policy.NFTables, l.host)
	}
	l.warnIgnored()
	l.diags.sort(slices.Concat(l.files, l.ignored))
	l.review.Mark(l.diags)
	if l.diags.HasErrors() {
		return nil, l.diags
	}
	return &l.policy, l.diags
}
