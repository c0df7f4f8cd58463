// Package policy turns the TOML files of an administrator into a validated
// Policy, and says precisely what is wrong with those that are not valid.
//
// A main file holds everything; files of the directory conf.d beside it may
// add accesses. Nothing is half-loaded: any error anywhere means no Policy at
// all, and every error is reported, not only the first. What is legal but
// weak gives a warning and a Policy.
//
// Input is bounded: 8 MiB per file, 16 MiB and 256 files in all, 16384 accesses.
// The package reads the files it is given, the files and credentials that these
// name, and nothing else of the host; it needs neither root nor netlink. Values
// never appear in a diagnostic when their key may be that of a secret, and keys
// of knocks never in what WriteTOML writes.
package policy

import (
	"fmt"
	"slices"

	"nftknock/pkg/gate"
	"nftknock/pkg/port"
)

// A Policy is the effective policy: what the files say, with every default
// filled in. It is as secret as they are, and as the keys that they name.
type Policy struct {
	NFLog       NFLog
	NFTables    NFTables
	Fingerprint Fingerprint
	Engine      Engine
	State       State
	Log         Log
	Metrics     Metrics
	Control     Control
	// Accesses are in the order of the files. There may be none, or none
	// that is enabled; a daemon should refuse to run with that.
	Accesses []Access
}

// Hidden returns the services that the policy hides: those of Protect, and those of every
// access, whether it is enabled, disabled or expired. They may overlap.
func (p *Policy) Hidden() []port.Range {
	hidden := slices.Clone(p.NFTables.Protect)
	for i := range p.Accesses {
		hidden = append(hidden, p.Accesses[i].Open...)
	}
	return hidden
}

// HasWork reports whether a daemon has something to do with the policy: an access is enabled,
// or services are to be hidden without one.
func (p *Policy) HasWork() bool {
	return len(p.NFTables.Protect) > 0 || slices.ContainsFunc(p.Accesses, func(a Access) bool { return a.Enabled })
}

// NFLog says where packets come from: the NFLOG groups Group to
// Group+Workers-1, each with a worker of its own.
type NFLog struct {
	Group   uint16
	Workers int // 1 to 64
}

// NFTables describes our table.
type NFTables struct {
	Table string // an nft identifier
	Mode  Mode
	// Set4 and Set6 are the sets that ModeSet grants into, one of them at least; they
	// and Mark, the bit of ModeMark, have no effect with another mode.
	Set4, Set6 gate.SetName
	Mark       uint32
	Hide       Hide
	// Interfaces are the names of the guarded interfaces; none
	// means all but the loopback interface. They need not exist yet.
	Interfaces []string
	// Protect are services that are hidden though no access may open them.
	Protect []port.Range
	Owner   Owner
	// Label and the one below it are the conntrack labels that mark admitted
	// connections: odd, 1 to 127.
	Label uint8
}

// Mode is how a grant takes effect.
type Mode string

// The modes.
const (
	ModeGate Mode = "gate" // our chain drops what no grant covers
	ModeSet  Mode = "set"  // grants are elements of sets of the administrator's own firewall
	ModeMark Mode = "mark" // packets that a grant covers get a mark that this firewall accepts
)

// Hide is how a protected port looks to those who have not knocked.
type Hide string

// The ways to hide.
const (
	HideDrop   Hide = "drop"   // filtered: no answer
	HideReject Hide = "reject" // closed: TCP reset, ICMP port unreachable
)

// Owner says whether the table is to belong to our process alone.
type Owner string

// The kinds of ownership.
const (
	OwnerAuto Owner = "auto" // where the kernel can keep an owned table
	OwnerOn   Owner = "on"
	OwnerOff  Owner = "off"
)

// Fingerprint names the signature databases.
type Fingerprint struct {
	// Databases are absolute paths, or Builtin.
	Databases []string
}

// Builtin names the signatures that are part of the program.
const Builtin = "builtin"

// Engine bounds the engine that matches knocks.
type Engine struct {
	MaxSources int // half-done knocks held at once
	Tripwires  int // ports that void a source's half-done knock, 0 to 4096
}

// State says where the daemon keeps what must outlive it.
type State struct {
	Dir string // an absolute path
}

// DefaultStateDir is the state directory of a policy that names none.
const DefaultStateDir = "/var/lib/nftknock"

// Log is how the daemon writes its log.
type Log struct {
	Format LogFormat
	Level  LogLevel
}

// LogFormat is the shape of a log line.
type LogFormat string

// The log formats of this version.
const (
	LogAuto LogFormat = "auto"
	LogText LogFormat = "text"
	LogJSON LogFormat = "json"
)

// LogLevel is the least severity that is logged.
type LogLevel string

// The log levels.
const (
	LevelDebug LogLevel = "debug"
	LevelInfo  LogLevel = "info"
	LevelWarn  LogLevel = "warn"
	LevelError LogLevel = "error"
)

// Control says where the daemon can be talked to.
type Control struct {
	Socket string // an absolute path, or empty for nowhere
}

// Pos is a place in a policy file. Line and Column count from 1, the column
// in characters; a zero Line stands for the file as a whole.
type Pos struct {
	File         string
	Line, Column int
}

// String returns "file:line:column".
func (p Pos) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Default returns the policy of an empty file: every setting has its default, and there is no
// access.
func Default() *Policy {
	p := defaults()
	return &p
}

// defaults is the policy of an empty file.
func defaults() Policy {
	return Policy{
		NFLog:       NFLog{Group: 5, Workers: 1},
		NFTables:    NFTables{Table: "nftknock", Mode: ModeGate, Hide: HideDrop, Owner: OwnerAuto, Label: gate.DefaultLabel},
		Fingerprint: Fingerprint{Databases: []string{Builtin}},
		Engine:      Engine{MaxSources: 262144, Tripwires: 256},
		State:       State{Dir: DefaultStateDir},
		Log:         Log{Format: LogAuto, Level: LevelInfo},
		Control:     Control{Socket: "/run/nftknock/control.sock"},
	}
}
