package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nftknock/pkg/hostrules"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// A Host is what Look found. What could not be looked at is empty, and in Unseen.
type Host struct {
	Rules     *hostrules.Ruleset
	Saved     []SavedRuleset
	Links     []Link
	Routes    []Route
	Listening map[port.Range]bool // as policy.PortsInUse returns them
	// Legacy are the tables of iptables-legacy, as "ip filter".
	Legacy []string
	Groups []Group
	// Unsynchronised: the kernel's clock is not kept by anything.
	Unsynchronised bool
	Forwards4      bool // net.ipv4.ip_forward
	Forwards6      bool // net.ipv6.conf.all.forwarding
	// Running: a process listens on the control socket. Daemon is that process, 0 if it
	// belongs to another namespace of processes.
	Running bool
	Daemon  int

	// Problems are what the running daemon says is wrong with it, and Hindered, that knocks,
	// or some of them, open nothing because of it. Look leaves them empty.
	Problems []string
	Hindered bool

	// Seen says what was looked at, and Unseen what was not, and why.
	Seen, Unseen []string
	// Proved are sentences of Prove; Look leaves it empty.
	Proved []string
}

// A Link is a network interface.
type Link struct {
	Name      string
	AltNames  []string
	Index     int
	Master    int
	Up        bool
	Bridge    bool
	Addresses []netip.Prefix
	// XDP: a program looks at packets before nftables. TC: filters at ingress do.
	XDP, TC bool
}

// A Route is one of the main table.
type Route struct {
	To   netip.Prefix // 0.0.0.0/0 or ::/0 for the default route
	Link int
}

// procNet are the files about the network namespace of the calling thread. /proc/net
// are those of the process.
const procNet = "/proc/thread-self/net"

// Look collects what there is to know of the host of the calling thread, which changes
// nothing. Without root a part remains unseen. It opens the files of saved rulesets below
// root, which is "/" but in tests.
func Look(ctx context.Context, p Policy, root string) *Host {
	h := &Host{}
	h.see("ruleset", h.readRules(ctx), func() string { return describe(h.Rules) })
	saved, errs := readSaved(root, p.Table)
	h.Saved = saved
	for _, err := range errs {
		h.unseen("saved ruleset", err)
	}
	h.Seen = append(h.Seen, "saved rulesets: "+paths(saved))
	h.see("interfaces", h.readLinks(), func() string { return wording.Count(len(h.Links), "interface", "interfaces") })
	h.see("listening sockets", h.readListening(), func() string { return wording.Count(len(h.Listening), "port in use", "ports in use") })
	h.see("legacy iptables", h.readLegacy(), func() string { return wording.Count(len(h.Legacy), "table", "tables") })
	h.see("NFLOG groups", h.readGroups(), func() string { return wording.Count(len(h.Groups), "group in use", "groups in use") })
	h.see("clock", h.readClock(), func() string {
		return map[bool]string{true: "not synchronised", false: "synchronised"}[h.Unsynchronised]
	})
	h.see("forwarding", h.readForwarding(), func() string { return map[bool]string{true: "on", false: "off"}[h.Forwards4 || h.Forwards6] })
	h.see("daemon", h.findDaemon(p.ControlSocket), func() string {
		if !h.Running {
			return "not running"
		}
		return fmt.Sprintf("running, process %d", h.Daemon)
	})
	return h
}

// see notes that something was looked at, or why it was not.
func (h *Host) see(what string, err error, result func() string) {
	if err != nil {
		h.unseen(what, err)
		return
	}
	h.Seen = append(h.Seen, what+": "+result())
}

func (h *Host) unseen(what string, err error) {
	reason := err.Error()
	if errors.Is(err, fs.ErrPermission) {
		reason = "needs root"
	}
	h.Unseen = append(h.Unseen, what+": "+reason)
}

// NotSeen returns Unseen as warnings, for programs.
func (h *Host) NotSeen() []Finding {
	var list []Finding
	for _, s := range h.Unseen {
		list = append(list, Finding{Severity: Warning, Code: "not-seen", Message: "could not look at " + s,
			Hint: "what is there may keep the policy from working: run doctor as root, on the host itself"})
	}
	return list
}

func describe(r *hostrules.Ruleset) string {
	chains := 0
	for _, t := range r.Tables {
		chains += len(t.Chains)
	}
	return fmt.Sprintf("%s, %s, %s", wording.Count(len(r.Tables), "table", "tables"),
		wording.Count(chains, "chain", "chains"), wording.Count(r.Size(), "rule", "rules"))
}

func paths(saved []SavedRuleset) string {
	if len(saved) == 0 {
		return "none"
	}
	var list []string
	for _, s := range saved {
		list = append(list, s.Path)
	}
	return strings.Join(list, ", ")
}

func (h *Host) readRules(ctx context.Context) (err error) {
	h.Rules, err = hostrules.Read(ctx)
	return err
}

func (h *Host) readListening() (err error) {
	h.Listening, err = policy.PortsInUse(os.DirFS(procNet))
	return err
}

// readLegacy reads the names of tables that x_tables holds without nftables. A file is
// missing where the kernel's module is not loaded.
func (h *Host) readLegacy() error {
	for _, f := range []struct{ file, family string }{{"ip_tables_names", "ip"}, {"ip6_tables_names", "ip6"}} {
		text, err := readProc(procNet + "/" + f.file)
		if errors.Is(err, fs.ErrPermission) && !moduleLoaded(f.family+"table_") {
			continue // without such a module there is no table
		}
		if err != nil {
			return err
		}
		for _, name := range strings.Fields(text) {
			h.Legacy = append(h.Legacy, f.family+" "+name)
		}
	}
	return nil
}

// moduleLoaded reports whether a module is loaded whose name begins with a prefix, such
// as iptable_filter; also if that cannot be known.
func moduleLoaded(prefix string) bool {
	text, err := readProc("/proc/modules")
	return err != nil || slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, prefix) })
}

// maxProc bounds what is read of a file in /proc.
const maxProc = 16 << 20

// readProc reads a file in /proc, "" if there is none.
func readProc(path string) (string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer f.Close()
	return readAtMost(f, maxProc)
}

// readClock asks whether something disciplines the clock (adjtimex(2)).
func (h *Host) readClock() error {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	const timeError, unsynchronised = 5, 0x40 // TIME_ERROR, STA_UNSYNC (linux/timex.h)
	h.Unsynchronised = state == timeError || t.Status&unsynchronised != 0
	return err
}

func (h *Host) readForwarding() error {
	text4, err := readProc("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		return err
	}
	text6, err := readProc("/proc/sys/net/ipv6/conf/all/forwarding")
	h.Forwards4, h.Forwards6 = strings.HasPrefix(text4, "1"), strings.HasPrefix(text6, "1")
	return err
}
