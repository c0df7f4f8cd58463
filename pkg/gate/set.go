package gate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
)

// The table's sets.
const (
	granted4   = "granted4"
	granted6   = "granted6"
	protected  = "protected"
	knockPorts = "knock_ports"
)

const (
	// maxGrants bounds each of the two sets of grants, in ports of sources:
	// listing a full one still takes the kernel less than a second.
	maxGrants = 32768

	// defaultTimeout is that of elements that name none. Grant always names
	// one; an element that someone adds by hand would otherwise stay for
	// ever.
	defaultTimeout = 30 * time.Second
)

// set is one of the table's sets in both its forms.
type set struct {
	name     string
	types    []nftables.SetDatatype
	grants   bool      // elements are grants, which time out and count packets
	services []Service // elements of the other sets, as normal leaves them
}

// sets gives all sets of the table in the order in which nft lists them.
func (r *Ruleset) sets() []set {
	service := []nftables.SetDatatype{nftables.TypeInetProto, nftables.TypeInetService}
	return []set{
		{name: granted4, types: slices.Concat([]nftables.SetDatatype{nftables.TypeIPAddr}, service), grants: true},
		{name: granted6, types: slices.Concat([]nftables.SetDatatype{nftables.TypeIP6Addr}, service), grants: true},
		{name: protected, types: service, services: normal(r.Protected)},
		{name: knockPorts, types: service, services: normal(r.KnockPorts)},
	}
}

// String gives the set as nft prints it.
func (s set) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\tset %s {\n\t\ttype %s\n", s.name, s.keyType().Name)
	if s.grants {
		// A default timeout implies "flags timeout", which nft then omits.
		fmt.Fprintf(&b, "\t\tsize %d\n\t\tcounter\n\t\ttimeout %s\n", maxGrants, defaultTimeout)
	} else {
		b.WriteString("\t\tflags interval\n")
	}
	if len(s.services) > 0 {
		var elements []string
		for _, v := range s.services {
			elements = append(elements, strings.Replace(v.String(), "/", " . ", 1))
		}
		fmt.Fprintf(&b, "\t\telements = { %s }\n", strings.Join(elements, ",\n\t\t\t     "))
	}
	b.WriteString("\t}\n")
	return b.String()
}

// netlink is the set as the netlink library knows it, without its elements.
func (s set) netlink(t *nftables.Table) *nftables.Set {
	n := &nftables.Set{Table: t, Name: s.name, KeyType: s.keyType()}
	if s.grants {
		n.HasTimeout, n.Timeout, n.Size, n.Counter = true, defaultTimeout, maxGrants, true
	} else {
		n.Interval, n.Concatenation = true, true
	}
	return n
}

// same reports whether a set found in the kernel can hold our elements. (The
// library does not read back whether it counts.)
func (s set) same(found *nftables.Set) bool {
	want := s.netlink(found.Table)
	return found.KeyType == want.KeyType && !found.IsMap && !found.Dynamic && !found.Constant &&
		found.Interval == want.Interval && found.Concatenation == want.Concatenation &&
		found.HasTimeout == want.HasTimeout && found.Timeout == want.Timeout && found.Size == want.Size
}

func (s set) keyType() nftables.SetDatatype { return nftables.MustConcatSetType(s.types...) }

// elements are those of a set of services.
func (s set) elements() []nftables.SetElement {
	var list []nftables.SetElement
	for _, v := range s.services {
		list = append(list, nftables.SetElement{
			Key:    serviceKey(v.Protocol, v.First),
			KeyEnd: serviceKey(v.Protocol, v.Last),
		})
	}
	return list
}

// normal sorts services by protocol and port and joins those that overlap,
// which the kernel would refuse.
func normal(services []Service) []Service {
	sorted := slices.Clone(services)
	slices.SortFunc(sorted, compareServices)
	var list []Service
	for _, s := range sorted {
		if n := len(list); n > 0 && list[n-1].Protocol == s.Protocol && s.First <= list[n-1].Last {
			list[n-1].Last = max(list[n-1].Last, s.Last)
			continue
		}
		list = append(list, s)
	}
	return list
}

func compareServices(a, b Service) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First), cmp.Compare(a.Last, b.Last))
}
