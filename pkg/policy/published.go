package policy

import (
	"fmt"

	"nftknock/pkg/port"
)

// published are sequences that can be read in examples: those are tried first.
var published = []struct {
	where string
	ports []uint16
}{
	{"the 2004 article on fwknop, and the examples of this project", []uint16{50053, 6020, 24034, 9680}},
	{"the documentation of this project", []uint16{50153, 6120, 24134}},
	// /etc/knockd.conf and knockd(1); nftables recipes go on to 10000.
	{"knockd's configuration file", []uint16{7000, 8000, 9000, 10000}},
	{"knockd's configuration file", []uint16{12345, 54321, 24680, 13579}},
	{"the manual page of knockd", []uint16{2222, 3333, 4444}},
	{"tutorials for iptables", []uint16{1111, 2222, 3333, 4444}},
	{"tutorials for iptables", []uint16{8881, 7777, 9991}},
	{"the documentation of csf", []uint16{100, 200, 300, 400}},
	{"tutorials for nftables", []uint16{123, 234, 345, 456}},
	{"tutorials for nftables", []uint16{10000, 2345, 3456, 1234}},
	{"tutorials for port knocking", []uint16{1234, 2345, 3456, 4567, 5678, 6789}},
	{"tutorials for port knocking", []uint16{1234, 5678, 9123}},
	{"the first article on port knocking, of 2003", []uint16{1026, 1027, 1029, 1034, 1044, 1035}},
}

// publishedBy has, by port, a bit for each item of published that has the port.
var publishedBy = func() map[uint16]uint64 {
	by := make(map[uint16]uint64)
	for i, p := range published {
		for _, n := range p.ports {
			by[n] |= 1 << i
		}
	}
	return by
}()

// warnPublished warns of a sequence all of whose ports are of one published example, in
// whatever order and over whatever protocol: the orders of few ports are few.
func warnPublished(e entry, ps []port.Range) {
	in := ^uint64(0)
	for _, el := range ps {
		in &= publishedBy[el.First]
	}
	for i, p := range published {
		if in&(1<<i) == 0 {
			continue
		}
		e.table.warn(e.table.valueAt("sequence"), fmt.Sprintf("the ports of this sequence are those of a published example (%s), which others will try", p.where),
			`want ports of your own: "shuf -i 10000-60000 -n 5" prints some`)
		e.table.code(CodePublished)
		return
	}
}
