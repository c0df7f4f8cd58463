package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"nftknock/pkg/p0f"
	"nftknock/test/scoring"
)

// families are what a label may begin with, besides the names of systems that p0f.FamilyOf
// knows: the families of the built-in table, and the two senders that are no system.
var families = []string{
	"linux", "windows", "apple", "bsd", "solaris", "cisco", "unix", "embedded", "console", "other",
	scoring.ToolLabel, scoring.ProxyLabel,
}

// wanted returns what a label asks for, as scoring.Judge takes it: "linux" for "linux",
// "Linux 5.15" or "Android 12", and "" for "?".
func wanted(label string) (string, error) {
	label = strings.ToLower(strings.TrimSpace(label))
	first, _, _ := strings.Cut(label, " ")
	switch {
	case label == "?":
		return "", nil
	case slices.Contains(families, first):
		return first, nil
	case p0f.FamilyOf(label) != "":
		return p0f.FamilyOf(label), nil
	}
	return "", fmt.Errorf("unknown system %q: want ?, a known system such as Android, or one of %s",
		label, strings.Join(families, ", "))
}

// frame names a packet of the capture that a capture was taken from.
type frame struct{ source, file, number string }

// sheet is what one file of labels says.
type sheet struct {
	name     string
	numbers  map[int]string            // by packet number
	ports    map[netip.AddrPort]string // by source
	hosts    map[netip.Addr]string
	frames   map[int]frame    // where packets come from, if the file tells
	evidence map[frame]string // labels by where packets come from
	last     struct{ number, line int }
}

// readSheet reads a file of labels. It returns nil if the file does not exist.
func readSheet(name string) (*sheet, error) {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return parseSheet(name, f)
}

// parseSheet reads labels in one of three forms, which its first line tells:
//
//   - columns whose first is "n": a row per packet with its file and frame, and a hint such as
//     "ua=Android 12" or nothing;
//   - columns whose first is "repo": a row per packet that something is known of, with its
//     file and frame, and os_family;
//   - anything else: a packet number, source address or address:port, a tab, and a label.
//
// In the last form empty lines and those that begin with # are skipped. Errors name file and
// line; on error the sheet is nil.
func parseSheet(name string, r io.Reader) (*sheet, error) {
	s := &sheet{
		name: name, numbers: map[int]string{}, ports: map[netip.AddrPort]string{}, hosts: map[netip.Addr]string{},
		frames: map[int]frame{}, evidence: map[frame]string{},
	}
	var columns []string
	lines := bufio.NewScanner(r)
	n := 0
	for lines.Scan() {
		n++
		fields := strings.Split(strings.TrimSuffix(lines.Text(), "\r"), "\t")
		if n == 1 && len(fields) > 1 && (fields[0] == "n" || fields[0] == "repo") {
			columns = fields
			if err := complete(columns); err != nil {
				return nil, fmt.Errorf("%s:1: %w", name, err)
			}
			continue
		}
		if err := s.add(n, columns, fields); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s:%d: %w", name, n+1, err)
	}
	return s, nil
}

// complete returns an error if a heading lacks a column.
func complete(heading []string) error {
	needed := []string{"file", "frame", "hint"}
	if heading[0] == "repo" {
		needed[2] = "os_family"
	}
	for _, column := range needed {
		if !slices.Contains(heading, column) {
			return fmt.Errorf("no column %q", column)
		}
	}
	return nil
}

// add takes one line, whose columns are nil in the form without a heading.
func (s *sheet) add(line int, columns, fields []string) error {
	if columns == nil {
		return s.addLabel(line, fields)
	}
	if len(fields) != len(columns) {
		return fmt.Errorf("%d columns: the heading has %d", len(fields), len(columns))
	}
	row := map[string]string{}
	for i, c := range columns {
		row[c] = fields[i]
	}
	if columns[0] == "repo" {
		want, err := wanted(row["os_family"])
		if err != nil {
			return err
		}
		s.evidence[frame{row["repo"], row["file"], row["frame"]}] = want
		return nil
	}
	number, err := packetNumber(row["n"])
	if err != nil {
		return err
	}
	s.saw(number, line)
	s.frames[number] = frame{file: row["file"], number: row["frame"]}
	s.numbers[number] = hinted(row["hint"])
	return nil
}

// saw keeps the largest packet number, and its line.
func (s *sheet) saw(number, line int) {
	if number > s.last.number {
		s.last.number, s.last.line = number, line
	}
}

// hinted returns what a hint asks for: the first of "ua=Linux;ssh=Linux:Debian". Hints were
// found by programs in captures: one that names no system is no error.
func hinted(hint string) string {
	hint, _, _ = strings.Cut(hint, ";")
	kind, value, _ := strings.Cut(hint, "=")
	if kind == scoring.ToolLabel {
		return scoring.ToolLabel
	}
	value, _, _ = strings.Cut(value, ":") // Windows:5.1
	want, err := wanted(value)
	if err != nil {
		return ""
	}
	return want
}

func packetNumber(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("bad packet number %q: packets are counted from 1", text)
	}
	return n, nil
}

// addLabel takes a line of the form without a heading.
func (s *sheet) addLabel(line int, fields []string) error {
	if text := strings.TrimSpace(fields[0]); len(fields) == 1 && (text == "" || text[0] == '#') {
		return nil
	}
	if len(fields) != 2 {
		return fmt.Errorf("%d columns: want a packet number, source address or address:port, a tab, and a label", len(fields))
	}
	want, err := wanted(fields[1])
	if err != nil {
		return err
	}
	key := strings.TrimSpace(fields[0])
	if port, err := netip.ParseAddrPort(key); err == nil {
		return put(s.ports, netip.AddrPortFrom(port.Addr().Unmap(), port.Port()), want)
	}
	if host, err := netip.ParseAddr(key); err == nil {
		return put(s.hosts, host.Unmap(), want)
	}
	number, err := packetNumber(key)
	if err != nil {
		return fmt.Errorf("bad packet %q: want its number, source address or address:port", key)
	}
	s.saw(number, line)
	return put(s.numbers, number, want)
}

// put adds a label, unless the key has another.
func put[K comparable](labels map[K]string, key K, want string) error {
	if before, ok := labels[key]; ok && before != want {
		return fmt.Errorf("%v has two labels: %q and %q", key, before, want)
	}
	labels[key] = want
	return nil
}

// label returns the label of a packet by its number and source: the most specific one.
func (s *sheet) label(number int, source netip.AddrPort) (want string, ok bool) {
	if want, ok = s.numbers[number]; ok {
		return want, true
	}
	if want, ok = s.ports[source]; ok {
		return want, true
	}
	want, ok = s.hosts[source.Addr()]
	return want, ok
}

// labels are those of one capture: the file beside it, and that of its directory. Either
// may be nil.
type labels struct {
	name        string // of the capture, without directory and ending
	own, common *sheet
}

// of returns what is known of the sender of a packet. If the file of the directory tells
// what evidence there is, hints in the capture's own file do not count.
func (l labels) of(number int, source netip.AddrPort) string {
	if l.own != nil && l.common != nil && len(l.common.evidence) > 0 {
		if f, ok := l.own.frames[number]; ok {
			f.source = l.name
			return l.common.evidence[f]
		}
	}
	for _, s := range []*sheet{l.own, l.common} {
		if s == nil {
			continue
		}
		if want, ok := s.label(number, source); ok {
			return want
		}
	}
	return ""
}

// check returns an error if a label is for a packet behind the last one of the capture.
func (l labels) check(packets int) error {
	if l.own != nil && l.own.last.number > packets {
		return fmt.Errorf("%s:%d: packet %d: the capture has %d packets", l.own.name, l.own.last.line, l.own.last.number, packets)
	}
	return nil
}

// readP0f reads p0f's answers beside a capture, by packet number: none if the file does not
// exist.
func readP0f(name string) (map[int]scoring.P0fRow, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	all := map[int]scoring.P0fRow{}
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		f := strings.Split(line, "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("%s:%d: %d columns: want n, kind, answer, params, dist, raw_sig", name, i+1, len(f))
		}
		if i == 0 {
			continue
		}
		number, err := packetNumber(f[0])
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, i+1, err)
		}
		all[number] = scoring.P0fRow{Kind: f[1], Answer: f[2], Params: f[3], RawSig: f[5]}
	}
	return all, nil
}
