package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"nftknock/pkg/gate"
)

// Bounds of the main sections.
const (
	maxGroup      = 65535 // NFLOG group, a __u16 (nfnetlink_log.h)
	maxWorkers    = 64
	minSources    = 256
	maxSources    = 1 << 22
	maxTripwires  = 4096
	fewTripwires  = 64 // a scan then misses them once in thousands of times
	maxInterfaces = 256
	maxDatabases  = 64
)

// sectionNames are the tables of the main file, which are no accesses.
var sectionNames = []string{"nflog", "nftables", "fingerprint", "engine", "state", "log", "metrics", "control"}

// readSections fills everything but the accesses.
func readSections(root *table, p *Policy) {
	readNFLog(root.section("nflog"), &p.NFLog)
	readNFTables(root.section("nftables"), &p.NFTables)

	t := root.section("fingerprint")
	readDatabases(t, &p.Fingerprint)
	t.finish()

	t = root.section("engine")
	integer(t, "max_sources", &p.Engine.MaxSources, minSources, maxSources)
	integer(t, "tripwires", &p.Engine.Tripwires, 0, maxTripwires)
	if n := p.Engine.Tripwires; t.has("tripwires") && n < fewTripwires {
		t.warn(t.valueAt("tripwires"), fmt.Sprintf("with %d tripwires a port scan may open a door", n),
			fmt.Sprintf("one scan in six opens three ports with none; want %d, the default, or more", defaults().Engine.Tripwires))
	}
	t.finish()

	t = root.section("log")
	choice(t, "format", &p.Log.Format, []LogFormat{LogAuto, LogText, LogJSON}, "journal")
	choice(t, "level", &p.Log.Level, []LogLevel{LevelDebug, LevelInfo, LevelWarn, LevelError})
	t.finish()

	readState(root.section("state"), &p.State)
	readWithoutEffect(root)
	readControl(root.section("control"), &p.Control)
}

func readControl(t *table, c *Control) {
	if t.text("socket", &c.Socket) && c.Socket != "" && !isSocket(c.Socket) {
		t.fail(t.valueAt("socket"), "bad socket "+quote(c.Socket), `want an absolute path of at most 107 bytes, or "" for none`)
	}
	t.finish()
}

func readState(t *table, c *State) {
	if t.text("dir", &c.Dir) && !isPath(c.Dir) {
		t.fail(t.valueAt("dir"), "bad dir "+quote(c.Dir), "want an absolute path")
	}
	t.finish()
}

func readNFLog(t *table, c *NFLog) {
	integer(t, "group", &c.Group, 0, maxGroup)
	integer(t, "workers", &c.Workers, 1, maxWorkers)
	if last := int(c.Group) + c.Workers - 1; last > maxGroup {
		t.fail(t.valueAt("workers"), fmt.Sprintf("%d workers from group %d on need groups up to %d", c.Workers, c.Group, last),
			fmt.Sprintf("the last group is %d: lower group to %d", maxGroup, maxGroup-c.Workers+1))
	}
	t.finish()
}

func readNFTables(t *table, c *NFTables) {
	if t.text("table", &c.Table) {
		if err := checkTable(c.Table); err != nil {
			message, hint := split(err)
			t.fail(t.valueAt("table"), message, hint)
		}
	}
	choice(t, "mode", &c.Mode, []Mode{ModeGate}, "set", "mark")
	choice(t, "hide", &c.Hide, []Hide{HideDrop, HideReject})
	choice(t, "owner", &c.Owner, []Owner{OwnerAuto, OwnerOn, OwnerOff})
	if list(t, "interfaces", &c.Interfaces, unique(parseInterface, "interface")) && len(c.Interfaces) > maxInterfaces {
		t.fail(t.valueAt("interfaces"), fmt.Sprintf("%d interfaces are too many", len(c.Interfaces)), fmt.Sprintf("the limit is %d", maxInterfaces))
	}
	if integer(t, "label", &c.Label, 1, gate.LabelBits-1) && c.Label%2 == 0 {
		t.fail(t.valueAt("label"), fmt.Sprintf("label = %d is even", c.Label), fmt.Sprintf("the one below it is used, too: want an odd one, such as %d", c.Label+1))
	}
	t.unsupported(laterNFTables)
	t.finish()
}

// identifier is what nft's scanner takes for a name (scanner.l), without the
// slash and the backslash it would also take.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]*$`)

// foreign are the names under which others keep tables of family inet. We
// replace our table as a whole, so none of them can be ours.
var foreign = []string{"filter", "nat", "mangle", "raw", "security", "firewalld", "fw4"}

func checkTable(s string) error {
	switch {
	case len(s) > 64 || !identifier.MatchString(s):
		return hinted{"bad table " + quote(s), `want at most 64 letters, digits, "_", "-" and ".", the first a letter or "_"`}
	case slices.Contains(foreign, s):
		return hinted{"table " + quote(s) + " is a name that other firewall software uses", `the daemon replaces its whole table: want one of its own, such as "nftknock"`}
	}
	return nil
}

// parseInterface holds names to what the kernel takes (dev_valid_name in
// net/core/dev.c), to printable ASCII, and to no wildcards.
func parseInterface(s string) (string, error) {
	const maxName = 15 // IFNAMSIZ with the NUL at its end is 16
	switch {
	case s == "" || len(s) > maxName:
		return "", hinted{"bad interface " + quote(s), fmt.Sprintf("names have 1 to %d bytes", maxName)}
	case strings.Contains(s, "*"):
		return "", hinted{"interface " + quote(s) + " is a pattern", "list each interface by its name"}
	case s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`/:"\`, r)
	}):
		return "", hinted{"bad interface " + quote(s), `names have no blanks and none of / : " \`}
	}
	return s, nil
}

// unique wraps the parser of a list's items so that it refuses the second of
// two equal ones.
func unique(parse func(string) (string, error), what string) func(string) (string, error) {
	seen := make(map[string]bool)
	return func(s string) (string, error) {
		v, err := parse(s)
		if err == nil && seen[v] {
			err = hinted{what + " " + quote(s) + " is listed twice", "remove one"}
		}
		seen[v] = true
		return v, err
	}
}

func readDatabases(t *table, c *Fingerprint) {
	var databases []string
	if !list(t, "databases", &databases, unique(parseDatabase, "database")) {
		return
	}
	switch n := len(databases); {
	case n == 0:
		t.fail(t.valueAt("databases"), "databases is empty", `want "builtin", absolute paths, or both`)
		return
	case n > maxDatabases:
		t.fail(t.valueAt("databases"), fmt.Sprintf("%d databases are too many", n), fmt.Sprintf("the limit is %d", maxDatabases))
		return
	}
	c.Databases = databases
}

func parseDatabase(s string) (string, error) {
	if s != Builtin && !isPath(s) {
		return "", hinted{"bad database " + quote(s), `want "builtin" or an absolute path`}
	}
	return s, nil
}
