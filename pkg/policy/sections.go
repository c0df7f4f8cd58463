package policy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"nftknock/pkg/gate"
	"nftknock/pkg/invalid"
	"nftknock/pkg/port"
)

// Bounds of the main sections.
const (
	maxGroup      = 65535 // NFLOG group, a __u16 (nfnetlink_log.h)
	maxWorkers    = 64
	minSources    = 256
	maxSources    = 1 << 22
	maxTripwires  = 4096
	fewTripwires  = 64 // with so many, one scan in thousands touches none of them
	maxInterfaces = 256
	maxProtect    = 4096
	maxDatabases  = 64
)

// sectionNames are the tables of the main file besides the accesses.
var sectionNames = []string{"nflog", "nftables", "fingerprint", "engine", "state", "log", "metrics", "control"}

// sectionKeys are the keys of these tables.
var sectionKeys = []string{
	"group", "workers",
	"table", "mode", "hide", "owner", "interfaces", "label", "protect", "set4", "set6", "mark",
	"databases",
	"max_sources", "tripwires",
	"dir",
	"format", "level",
	"listen",
	"socket",
}

// readSections fills everything but the accesses.
func readSections(root *table, p *Policy) {
	readNFLog(root.section("nflog"), &p.NFLog)
	readNFTables(root.section("nftables"), &p.NFTables)

	t := root.section("fingerprint")
	readDatabases(t, &p.Fingerprint)
	t.finish()

	t = root.section("engine")
	integer(t, "max_sources", &p.Engine.MaxSources, bounds{minSources, maxSources})
	integer(t, "tripwires", &p.Engine.Tripwires, bounds{0, maxTripwires})
	// The default is no reason to warn.
	if n := p.Engine.Tripwires; t.has("tripwires") && n < fewTripwires {
		t.warn(t.valueAt("tripwires"), fmt.Sprintf("with %d tripwires a port scan may complete a shared knock", n),
			fmt.Sprintf("one scan in six completes a sequence of three ports if there are none; want %d, the default, or more", defaults().Engine.Tripwires))
	}
	t.finish()

	t = root.section("log")
	choice(t, "format", &p.Log.Format, words[LogFormat]{known: []LogFormat{LogAuto, LogText, LogJSON}, later: []LogFormat{"journal"}})
	choice(t, "level", &p.Log.Level, words[LogLevel]{known: []LogLevel{LevelDebug, LevelInfo, LevelWarn, LevelError}})
	t.finish()

	readState(root.section("state"), &p.State)
	readMetrics(root.section("metrics"), &p.Metrics)
	readControl(root.section("control"), &p.Control)
}

func readControl(t *table, c *Control) {
	readSocket(t, c)
	t.finish()
}

func readSocket(t *table, c *Control) {
	if t.text("socket", &c.Socket) && c.Socket != "" && !isSocket(c.Socket) {
		t.fail(t.valueAt("socket"), "bad socket "+quote(c.Socket), `want an absolute path of at most 107 bytes, or "" for none`)
	}
}

func readState(t *table, c *State) {
	if t.text("dir", &c.Dir) && !isPath(c.Dir) {
		t.fail(t.valueAt("dir"), "bad dir "+quote(c.Dir), "want an absolute path")
	}
	t.finish()
}

func readNFLog(t *table, c *NFLog) {
	integer(t, "group", &c.Group, bounds{0, maxGroup})
	integer(t, "workers", &c.Workers, bounds{1, maxWorkers})
	// Each worker has a group of its own, and group numbers have 16 bits.
	if last := int(c.Group) + c.Workers - 1; last > maxGroup {
		t.fail(t.valueAt("workers"), fmt.Sprintf("%d workers from group %d on need groups up to %d", c.Workers, c.Group, last),
			fmt.Sprintf("the last group is %d: lower group to %d", maxGroup, maxGroup-c.Workers+1))
	}
	t.finish()
}

func readNFTables(t *table, c *NFTables) {
	if t.text("table", &c.Table) {
		if err := checkTable(c.Table); err != nil {
			t.refuse(t.valueAt("table"), err)
		}
	}
	choice(t, "hide", &c.Hide, words[Hide]{known: []Hide{HideDrop, HideReject}})
	choice(t, "owner", &c.Owner, words[Owner]{known: []Owner{OwnerAuto, OwnerOn, OwnerOff}})
	if list(t, "interfaces", &c.Interfaces, unique(parseInterface, "interface")) && len(c.Interfaces) > maxInterfaces {
		t.fail(t.valueAt("interfaces"), fmt.Sprintf("%d interfaces are too many", len(c.Interfaces)), fmt.Sprintf("the limit is %d", maxInterfaces))
	}
	seen := make(map[port.Range]bool)
	if list(t, "protect", &c.Protect, func(s string) (port.Range, error) {
		r, err := port.ParseService(s)
		if err == nil && seen[r] {
			err = invalid.Newf("it listed once", "service %s is listed twice", r)
		}
		seen[r] = true
		return r, err
	}) && len(c.Protect) > maxProtect {
		t.fail(t.valueAt("protect"), fmt.Sprintf("%d services are too many", len(c.Protect)), fmt.Sprintf("the limit is %d: want ranges of ports", maxProtect))
	}
	// Pairs of labels that begin at odd numbers cannot overlap (gate.Ruleset.Label).
	if integer(t, "label", &c.Label, bounds{1, gate.LabelBits - 1}) && c.Label%2 == 0 {
		t.fail(t.valueAt("label"), fmt.Sprintf("label = %d is even", c.Label), fmt.Sprintf("the one below it is used, too: want an odd one, such as %d", c.Label+1))
	}
	readMode(t, c)
	t.finish()
}

// tableName is what nft reads as a name without quotes, and the kernel as a table's.
// The kernel takes up to 255 bytes (NFT_NAME_MAXLEN).
var tableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

// foreign are the names under which others keep tables of family inet. We
// replace our table as a whole, so none of them can be ours.
var foreign = []string{"filter", "nat", "mangle", "raw", "security", "firewalld", "fw4"}

// checkTable refuses names that the gate would refuse (gate.Ruleset.Validate) or
// that nft could not read back.
func checkTable(s string) error {
	const want = `a name of its own, such as "nftknock"`
	switch {
	case !tableName.MatchString(s):
		return invalid.Newf(`at most 64 letters, digits, "_", "-" and ".", the first a letter`, "bad table %s", quote(s))
	case slices.Contains(foreign, s):
		return invalid.Newf(want+": the daemon replaces its whole table", "table %s is a name that other firewall software uses", quote(s))
	case slices.Contains(nftWords, s):
		return invalid.Newf(want, "table %s is a word of nft's language, so nft could not load a saved ruleset", quote(s))
	}
	return nil
}

// parseInterface accepts the names that an interface can have (dev_valid_name in
// net/core/dev.c), as far as they are printable ASCII, which nft can print.
func parseInterface(s string) (string, error) {
	const maxName = 15 // IFNAMSIZ with the NUL at its end is 16
	switch {
	// The kernel cuts no name: a longer one is never that of an interface.
	case s == "" || len(s) > maxName:
		return "", invalid.Newf(fmt.Sprintf("a name of 1 to %d bytes", maxName), "bad interface %s", quote(s))
	// nft takes a star for a pattern, which the rules here do not have.
	case strings.Contains(s, "*"):
		return "", invalid.Newf("each interface listed by its name", "interface %s is a pattern", quote(s))
	// dev_valid_name refuses these too, but for the quote and the backslash.
	case s == "." || s == ".." || strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`/:"\`, r)
	}):
		return "", invalid.Newf(`a name without blanks, "/", ":", "\" and quotes`, "bad interface %s", quote(s))
	}
	return s, nil
}

// unique returns a parser of a list's items that calls parse and refuses an item that is
// equal to an earlier one.
func unique(parse func(string) (string, error), what string) func(string) (string, error) {
	// Created once, because all calls of the parser are for the items of one list.
	seen := make(map[string]bool)
	return func(s string) (string, error) {
		v, err := parse(s)
		if err == nil && seen[v] {
			err = invalid.Newf("it listed once", "%s %s is listed twice", what, quote(s))
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
		return "", invalid.Newf(`"builtin" or an absolute path`, "bad database %s", quote(s))
	}
	return s, nil
}
