// Command p0fcore compares the speed of packages packet and p0f with that of the core of p0f,
// on the same SYNs in memory. It measures the two alternately, some milliseconds each.
// bench.sh builds the harness around p0f's core and runs this command.
package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"nftknock/pkg/capture"
	"nftknock/pkg/p0f"
	"nftknock/pkg/packet"
)

const (
	goes  = 5     // measurements per round, of which the fastest counts; as in harness.c
	perGo = 50000 // packets per measurement; as in harness.c
)

func main() {
	harness := flag.String("harness", "", "the harness, built")
	fp := flag.String("fp", "", "p0f.fp for both to load")
	rounds := flag.Int("rounds", 20, "rounds for each group of packets")
	flag.Parse()
	if err := run(core{*harness, *fp}, *rounds, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "p0fcore: error:", err)
		os.Exit(1)
	}
}

func run(c core, rounds int, captures []string) error {
	same, err := p0f.Load(c.fp)
	if err != nil {
		return err
	}
	groups, err := readGroups(captures)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "p0fcore")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	for i := range groups {
		g := &groups[i]
		if err := g.layOut(filepath.Join(dir, strconv.Itoa(i)+".pcap")); err != nil {
			return err
		}
		if err := c.check(g, same); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	// The speed of a shared machine changes for seconds at a time. With many short rounds
	// through all groups, each group and each side is measured at all speeds.
	for round := range rounds {
		for i := range groups {
			if err := c.race(&groups[i], same, round); err != nil {
				return fmt.Errorf("%s: %w", groups[i].name, err)
			}
		}
	}
	return printTable(groups, rounds)
}

func printTable(groups []group, rounds int) error {
	fmt.Printf("ns per SYN, the best of %d rounds, p0f's core and ours by turns.\n", rounds)
	fmt.Println("Ratio: p0f's parse and match to our decode and match, above 1 where ours is faster (the median round's).")
	fmt.Println("Named: SYNs that p0f's core knows, that ours knows by p0f.fp, and by the built-in table.")
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "\tSYNs\tp0f: parse\tand match\tours: decode\tand match p0f.fp\tand built-in\tratio p0f.fp\tratio built-in\tnamed\t")
	for _, g := range groups {
		fmt.Fprintf(w, "%s\t%d\t%s\t\n", g.name, len(g.syns), g.result)
	}
	return w.Flush()
}

// result holds the measurements of one group, one value per round.
type result struct {
	parse, parseMatch             []float64 // p0f's
	decode, matchSame, matchBuilt []float64 // ours
	named                         [3]int    // p0f's, ours with the same file, ours built in
}

// String returns the row's cells.
func (r result) String() string {
	best := slices.Min[[]float64]
	ratio := func(ours []float64) string {
		var each []float64
		for i := range ours {
			each = append(each, r.parseMatch[i]/ours[i])
		}
		slices.Sort(each)
		return fmt.Sprintf("%.2f (%.2f)", best(r.parseMatch)/best(ours), each[len(each)/2])
	}
	return fmt.Sprintf("%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%s\t%s\t%d/%d/%d",
		best(r.parse), best(r.parseMatch), best(r.decode), best(r.matchSame), best(r.matchBuilt),
		ratio(r.matchSame), ratio(r.matchBuilt), r.named[0], r.named[1], r.named[2])
}

// core is the core of p0f in the program harness, with the database fp.
type core struct{ harness, fp string }

// race measures both sides, one right after the other.
func (c core) race(g *group, same *p0f.Database, round int) error {
	// p0f chooses the seed of its hash at random when it starts, and the seed decides how
	// its buckets are filled. The best of all rounds is that with the best seed.
	out, err := c.run("-s", strconv.Itoa(round), c.fp, g.pcap)
	if err != nil {
		return err
	}
	r, syns := &g.result, g.syns
	var packets, parsed int
	var parse, parseMatch float64
	_, err = fmt.Sscanf(out[len(out)-1], "packets %d parsed %d named %d parse %f match %f",
		&packets, &parsed, &r.named[0], &parse, &parseMatch)
	if err != nil {
		return fmt.Errorf("the harness says %q: %w", out[len(out)-1], err)
	}
	r.parse, r.parseMatch = append(r.parse, parse), append(r.parseMatch, parseMatch)

	decode, matchSame, matchBuilt := time.Hour, time.Hour, time.Hour
	for range goes {
		decode = min(decode, pass(syns, func() { decodeAll(syns) }))
		matchSame = min(matchSame, pass(syns, func() { r.named[1] = matchAll(syns, same) }))
		matchBuilt = min(matchBuilt, pass(syns, func() { r.named[2] = matchAll(syns, p0f.Builtin()) }))
	}
	r.decode = append(r.decode, perPacket(syns, decode))
	r.matchSame = append(r.matchSame, perPacket(syns, matchSame))
	r.matchBuilt = append(r.matchBuilt, perPacket(syns, matchBuilt))
	return nil
}

// run runs the harness and returns the lines that it prints.
func (c core) run(args ...string) ([]string, error) {
	cmd := exec.Command(c.harness, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.harness, err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n"), nil
}

// check returns an error unless p0f's core and package p0f, with the same table, recognise the
// same SYNs, so that both do the same work. A tenth may differ, since p0f for example does not
// compare the IP version. Over IPv6 package p0f may recognise more, because it ignores flow
// labels that a signature does not name.
func (c core) check(g *group, same *p0f.Database) error {
	syns := g.syns
	answers, err := c.run("-a", c.fp, g.pcap)
	if err != nil {
		return err
	}
	if len(answers) < len(syns) {
		return fmt.Errorf("the harness gave %d answers to %d packets", len(answers), len(syns))
	}
	answers = answers[len(answers)-len(syns):] // p0f prints messages about loading first
	differ := 0
	for i, raw := range syns {
		theirs := answers[i] != "???" && answers[i] != "-"
		ours := matchAll([][]byte{raw}, same) == 1
		if theirs && !ours || ours && !theirs && raw[0]>>4 == 4 {
			differ++
		}
	}
	if differ > len(syns)/10 {
		return fmt.Errorf("p0f's core and ours disagree on whether they know it in %d of %d SYNs", differ, len(syns))
	}
	return nil
}

func passes(syns [][]byte) int { return (perGo + len(syns) - 1) / len(syns) }

// pass measures calls of all, each of which handles every packet once, for about perGo
// packets.
func pass(syns [][]byte, all func()) time.Duration {
	start := time.Now()
	for range passes(syns) {
		all()
	}
	return time.Since(start)
}

func perPacket(syns [][]byte, d time.Duration) float64 {
	return float64(d.Nanoseconds()) / float64(passes(syns)*len(syns))
}

func decodeAll(syns [][]byte) {
	var p packet.Packet
	for _, raw := range syns {
		if packet.Decode(raw, &p) != nil {
			panic("what was decoded before cannot be decoded now")
		}
	}
}

func matchAll(syns [][]byte, db *p0f.Database) (named int) {
	var p packet.Packet
	for _, raw := range syns {
		if packet.Decode(raw, &p) == nil && db.Match(&p).Confidence != p0f.None {
			named++
		}
	}
	return named
}

// group is a set of SYNs with a row of its own in the table.
type group struct {
	name   string
	syns   [][]byte
	pcap   string // a file with the SYNs, which layOut writes
	result result
}

// readGroups makes a group of each capture, two more of the IPv4 and the IPv6 of the first
// one, and, for several captures, one of all together.
func readGroups(captures []string) ([]group, error) {
	var groups []group
	all := group{name: "all"}
	for i, name := range captures {
		syns, err := readSYNs(name)
		if err != nil {
			return nil, err
		}
		g := group{name: strings.TrimSuffix(filepath.Base(name), ".pcap"), syns: syns}
		if len(g.syns) == 0 {
			return nil, fmt.Errorf("%s: no SYNs", name)
		}
		all.syns = append(all.syns, g.syns...)
		groups = append(groups, g)
		if i == 0 {
			groups = append(groups, g.only(4), g.only(6))
		}
	}
	if len(captures) > 1 {
		groups = append(groups, all)
	}
	return groups, nil
}

func (g group) only(version byte) group {
	v := group{name: fmt.Sprintf("%s IPv%d", g.name, version)}
	for _, raw := range g.syns {
		if raw[0]>>4 == version {
			v.syns = append(v.syns, raw)
		}
	}
	return v
}

func readSYNs(name string) ([][]byte, error) {
	r, err := capture.Open(name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	var syns [][]byte
	for {
		_, raw, err := r.Next()
		if errors.Is(err, io.EOF) {
			return syns, nil
		}
		if errors.Is(err, capture.ErrNotIP) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var p packet.Packet
		if packet.Decode(raw, &p) == nil && p.PureSYN() {
			syns = append(syns, bytes.Clone(raw))
		}
	}
}

// layOut writes the packets to a pcap file of raw IP packets in this machine's byte order. It
// also moves them into a copy of that file in memory, which is how the harness stores them, so
// that both sides have the same cache misses.
func (g *group) layOut(pcap string) error {
	const linkRaw = 101 // LINKTYPE_RAW
	word, half := binary.NativeEndian.AppendUint32, binary.NativeEndian.AppendUint16
	image := half(half(word(nil, 0xa1b2c3d4), 2), 4)
	image = word(word(word(word(image, 0), 0), 1<<16), linkRaw)
	var starts []int
	for _, raw := range g.syns {
		size := uint32(len(raw))
		image = word(word(word(word(image, 0), 0), size), size)
		starts = append(starts, len(image))
		image = append(image, raw...)
	}
	for i, at := range starts {
		g.syns[i] = image[at : at+len(g.syns[i])]
	}
	g.pcap = pcap
	return os.WriteFile(pcap, image, 0o600)
}
