package links

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// links reads interfaces as in "1 lo, 2 eth0 aka enp3s0 in 5".
func parseLinks(t testing.TB, s string) []Link {
	t.Helper()
	var list []Link
	for _, item := range strings.Split(s, ", ") {
		var l Link
		f := strings.Fields(item)
		if _, err := fmt.Sscan(f[0], &l.Index); err != nil {
			t.Fatalf("%q: %v", item, err)
		}
		l.Name = f[1]
		for f = f[2:]; len(f) > 0; f = f[2:] {
			if f[0] == "aka" {
				l.AltNames = append(l.AltNames, f[1])
			} else if _, err := fmt.Sscan(f[1], &l.Master); err != nil {
				t.Fatalf("%q: %v", item, err)
			}
		}
		list = append(list, l)
	}
	return list
}

// A moment is a set of interfaces and what Resolve should return for it.
type moment struct {
	links     string
	unguarded string
	problems  []Problem
}

func one(kind Kind, name string, now ...string) []Problem {
	return []Problem{{Kind: kind, Interface: name, Now: strings.Join(now, "")}}
}

func TestResolve(t *testing.T) {
	for _, tt := range []struct {
		name    string
		listed  string
		moments []moment
	}{
		{"ok nothing is listed", "", []moment{
			{"1 lo, 2 eth0, 3 eth1", "lo", nil}}},
		{"ok a name", "eth0", []moment{
			{"1 lo, 2 eth0, 3 eth1, 4 dmz", "dmz eth1 lo", nil}}},
		{"ok all are listed", "eth1 eth0", []moment{
			{"1 lo, 2 eth0, 3 eth1", "lo", nil}}},
		{"ok an alternative name", "enp3s0", []moment{
			{"1 lo, 2 eth0 aka enp3s0 aka enx02, 3 eth1 aka enp4s0", "eth1 lo", nil}}},
		{"ok a port: its bridge is guarded, the bridge's other ports have no packets of their own", "eth0", []moment{
			{"1 lo, 2 eth0 in 4, 3 tap0 in 4, 4 br0, 5 eth1", "eth1 lo", nil}}},
		{"ok a port of a bond in a bridge in a VRF", "eth0", []moment{
			{"1 lo, 2 eth0 in 7, 7 bond0 in 4, 4 br0 in 9, 9 blue, 5 eth1 in 6, 6 br1", "br1 eth1 lo", nil}}},
		{"ok a VRF: its parts are guarded, as DNAT comes between both", "blue", []moment{
			{"1 lo, 2 eth0 in 9, 3 eth1, 9 blue", "eth1 lo", nil}}},
		{"ok a master that is not in the list", "eth0", []moment{
			{"1 lo, 2 eth0 in 9, 3 eth1", "eth1 lo", nil}}},
		{"ok no loopback interface in the list", "eth0", []moment{
			{"2 eth0, 3 eth1", "eth1 lo", nil}}},
		{"ok an interface that appears and goes", "eth0", []moment{
			{"1 lo, 2 eth0", "lo", nil},
			{"1 lo, 2 eth0, 3 tun0", "lo tun0", nil},
			{"1 lo, 2 eth0", "lo", nil}}},
		{"ok into a bridge and out of it", "eth0", []moment{
			{"1 lo, 2 eth0, 4 br0", "br0 lo", nil},
			{"1 lo, 2 eth0 in 4, 4 br0", "lo", nil},
			{"1 lo, 2 eth0, 4 br0", "br0 lo", nil}}},
		{"bad name: nothing opens", "eht0 eth1", []moment{
			{"1 lo, 2 eth0, 3 eth1, 4 dmz", "lo", one(Missing, "eht0")}}},
		{"ok there later", "eth0 ppp0", []moment{
			{"1 lo, 2 eth0, 3 eth1", "lo", one(Missing, "ppp0")},
			{"1 lo, 2 eth0, 3 eth1, 4 ppp0", "eth1 lo", nil}}},
		{"ok hung up and called again", "ppp0", []moment{
			{"1 lo, 2 eth0, 4 ppp0", "eth0 lo", nil},
			{"1 lo, 2 eth0", "eth0 lo", one(Gone, "ppp0")},
			{"1 lo, 2 eth0, 5 ppp0", "eth0 lo", nil}}},
		{"bad the index of one that is gone is another's: forgotten", "ppp0", []moment{
			{"1 lo, 2 eth0, 4 ppp0", "eth0 lo", nil},
			{"1 lo, 2 eth0", "eth0 lo", one(Gone, "ppp0")},
			{"1 lo, 2 eth0, 4 tun0", "eth0 lo tun0", one(Gone, "ppp0")}}},
		{"ok the listed part of a bond is taken out of the host: the bond stays", "eth0", []moment{
			{"1 lo, 2 eth0 in 7, 3 eth1 in 7, 7 bond0, 8 dmz", "dmz lo", nil},
			{"1 lo, 3 eth1 in 7, 7 bond0, 8 dmz", "dmz lo", one(Gone, "eth0")},
			{"1 lo, 3 eth1, 7 bond0, 8 dmz", "dmz lo", one(Gone, "eth0")},
			{"1 lo, 4 eth0, 3 eth1, 7 bond0, 8 dmz", "bond0 dmz eth1 lo", nil}}},
		{"bad renamed, and back", "eth0", []moment{
			{"1 lo, 2 eth0, 3 eth1", "eth1 lo", nil},
			{"1 lo, 2 wan, 3 eth1", "eth1 lo", one(Renamed, "eth0", "wan")},
			{"1 lo, 2 up, 3 eth1", "eth1 lo", one(Renamed, "eth0", "up")},
			{"1 lo, 2 eth0, 3 eth1", "eth1 lo", nil}}},
		{"bad renamed, and the name taken", "eth0", []moment{
			{"1 lo, 2 eth0, 3 eth1", "eth1 lo", nil},
			{"1 lo, 2 wan, 3 eth0, 4 dmz", "dmz lo", one(Taken, "eth0", "wan")},
			{"1 lo, 2 wan, 4 dmz", "dmz lo", one(Renamed, "eth0", "wan")}}},
		{"bad names swapped", "eth0", []moment{
			{"1 lo, 2 eth0, 3 eth1, 4 dmz", "dmz eth1 lo", nil},
			{"1 lo, 2 eth1, 3 eth0, 4 dmz", "dmz lo", one(Taken, "eth0", "eth1")}}},
		{"ok swapped, and both are listed", "eth0 eth1", []moment{
			{"1 lo, 2 eth0, 3 eth1, 4 dmz", "dmz lo", nil},
			{"1 lo, 2 eth1, 3 eth0, 4 dmz", "dmz lo", nil}}},
		{"ok renamed to a name that is listed too", "eth0 wan", []moment{
			{"1 lo, 2 eth0, 3 dmz", "lo", one(Missing, "wan")},
			{"1 lo, 2 wan, 3 dmz", "dmz lo", one(Gone, "eth0")},
			{"1 lo, 2 up, 3 dmz", "dmz lo", append(one(Gone, "eth0"), one(Renamed, "wan", "up")...)}}},
		{"ok renamed, the old name kept as alternative one", "eth0", []moment{
			{"1 lo, 2 eth0, 3 dmz", "dmz lo", nil},
			{"1 lo, 2 wan aka eth0, 3 dmz", "dmz lo", nil}}},
		{"bad renamed, gone, and back with the new name and index alone", "ppp0", []moment{
			{"1 lo, 2 eth0, 4 ppp0", "eth0 lo", nil},
			{"1 lo, 2 eth0, 4 isp", "eth0 lo", one(Renamed, "ppp0", "isp")},
			{"1 lo, 2 eth0", "eth0 lo", one(Gone, "ppp0")},
			{"1 lo, 2 eth0, 5 isp", "eth0 lo", one(Renamed, "ppp0", "isp")}}},
		{"ok its driver loaded anew: guarded before udev gives it its alternative name", "enp3s0", []moment{
			{"1 lo, 2 eth0 aka enp3s0, 3 eth1", "eth1 lo", nil},
			{"1 lo, 3 eth1", "eth1 lo", one(Gone, "enp3s0")},
			{"1 lo, 4 eth0, 3 eth1", "eth1 lo", one(Renamed, "enp3s0", "eth0")},
			{"1 lo, 4 eth0 aka enp3s0, 3 eth1", "eth1 lo", nil}}},
		{"bad lo is listed", "lo eth0", []moment{
			{"1 lo, 2 eth0, 3 eth1", "eth1 lo", one(Loopback, "lo")}}},
		{"bad lo alone is listed: nothing opens", "lo", []moment{
			{"1 lo, 2 eth0, 3 eth1", "lo", one(Loopback, "lo")}}},
		{"bad an alternative name of lo alone is listed", "local", []moment{
			{"1 lo aka local, 2 eth0", "lo", one(Loopback, "local")}}},
		{"bad names that would mean something else in a ruleset", "eth0", []moment{
			{"1 lo, 2 eth0, 3 e*, 4 a\"b, 5 grün, 6 a\\b, 7 a'b", "a'b lo",
				[]Problem{{Kind: Odd, Interface: "e*"}, {Kind: Odd, Interface: `a"b`}, {Kind: Odd, Interface: "grün"}, {Kind: Odd, Interface: `a\b`}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var memory Memory
			for i, m := range tt.moments {
				r := Resolve(strings.Fields(tt.listed), parseLinks(t, m.links), memory)
				want := Resolution{Unguarded: strings.Fields(m.unguarded), Problems: m.problems}
				if diff := cmp.Diff(want, Resolution{Unguarded: r.Unguarded, Problems: r.Problems}); diff != "" {
					t.Errorf("moment %d, %s (-want +got):\n%s", i, m.links, diff)
				}
				memory = r.Memory
			}
		})
	}
}

// A reload may list other names. Memory of names that are still listed is kept.
func TestMemoryOutlivesAReload(t *testing.T) {
	before := Resolve([]string{"eth0", "eth1"}, parseLinks(t, "1 lo, 2 eth0, 3 eth1, 4 dmz"), nil).Memory
	kept := Resolve([]string{"eth0"}, parseLinks(t, "1 lo, 2 eth0, 3 eth1, 4 dmz"), before).Memory
	r := Resolve([]string{"eth0"}, parseLinks(t, "1 lo, 2 wan, 3 eth1, 4 dmz"), kept)
	if want := []string{"dmz", "eth1", "lo"}; !slices.Equal(r.Unguarded, want) {
		t.Errorf("unguarded %v, want %v", r.Unguarded, want)
	}
	// As after a reload that failed: the result was not applied.
	r = Resolve([]string{"eth0", "eth1"}, parseLinks(t, "1 lo, 2 wan, 5 dmz"), before)
	if want := []string{"dmz", "lo"}; !slices.Equal(r.Unguarded, want) {
		t.Errorf("unguarded %v, want %v", r.Unguarded, want)
	}
}

// FuzzResolve: for any interfaces, lo is not guarded and every interface with a listed
// name is, also after it is renamed.
func FuzzResolve(f *testing.F) {
	f.Add("eth0 ppp0", "1 lo 0 2 eth0 3 3 br0 0", "1 lo 0 2 wan 3 3 br0 0 4 ppp0 0")
	f.Add("e*", "2 e* 2", "3 lo 2")
	f.Fuzz(func(t *testing.T, listed, first, second string) {
		var memory Memory
		held := make(map[int]bool)
		names := strings.Fields(listed)
		for _, text := range []string{first, second} {
			now := fuzzLinks(text)
			r := Resolve(names, now, memory)
			if !slices.Contains(r.Unguarded, "lo") || !slices.IsSorted(r.Unguarded) {
				t.Errorf("unguarded %q", r.Unguarded)
			}
			for _, l := range now {
				held[l.Index] = held[l.Index] || slices.Contains(names, l.Name) && l.Name != "lo"
				if l.Name != "lo" && held[l.Index] && slices.Contains(r.Unguarded, l.Name) {
					t.Errorf("%+v is not guarded: %+v", l, r)
				}
			}
			for _, p := range r.Problems {
				if s := p.String(); strings.ContainsFunc(s, func(r rune) bool { return r < ' ' }) {
					t.Errorf("%q", s)
				}
			}
			memory = r.Memory
		}
	})
}

// fuzzLinks reads triples of index, name and master. As in the kernel, no two
// interfaces have the same index or name.
func fuzzLinks(text string) []Link {
	var list []Link
	f := strings.Fields(text)
	for ; len(f) > 2 && len(list) < 100; f = f[3:] {
		l := Link{Name: f[1]}
		fmt.Sscan(f[0], &l.Index)
		fmt.Sscan(f[2], &l.Master)
		if l.Index > 0 && !slices.ContainsFunc(list, func(o Link) bool { return o.Index == l.Index || o.Name == l.Name }) {
			list = append(list, l)
		}
	}
	return list
}

func TestProblemsAreSentences(t *testing.T) {
	for want, p := range map[string]Problem{
		`interface "eht0" does not exist: all interfaces but lo are guarded until it does; if its name is another one, correct interfaces in the policy`: {Kind: Missing, Interface: "eht0"},
		`interface "ppp0" is gone: it is guarded again when it returns, and the others stay as they are`:                                                 {Kind: Gone, Interface: "ppp0"},
		`interface "eth0" was renamed to "wan": it stays guarded, but after a restart of nftknockd all interfaces but lo are; list "wan" in interfaces instead`: {
			Kind: Renamed, Interface: "eth0", Now: "wan"},
		`interface "eth0" was renamed to "wan", and another one is called "eth0": both are guarded, but after a restart of nftknockd only "eth0" is; list "wan" in interfaces too if it is to stay guarded`: {
			Kind: Taken, Interface: "eth0", Now: "wan"},
		`interface "lo" is the loopback interface, which is never guarded: local users reach all services; remove it from interfaces`: {
			Kind: Loopback, Interface: "lo"},
		`interface "e*" is guarded although it is not listed: rules cannot have a name with such characters; give it one of letters and digits if it is not to be guarded`: {
			Kind: Odd, Interface: "e*"},
	} {
		if diff := cmp.Diff(want, p.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", p.Kind, diff)
		}
		if p.Harmless() != (p.Kind == Gone) {
			t.Errorf("%s: harmless is %t", p.Kind, p.Harmless())
		}
	}
}
