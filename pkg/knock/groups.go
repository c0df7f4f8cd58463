package knock

import (
	"slices"

	"nftknock/pkg/port"
)

// groups are the groups of a family: accesses whose knocks go to the same ports
// are in one, since the same packets may be the knock of any of them. G is
// the family's data for a group.
type groups[G any] struct {
	list  []*G
	ports [][]port.Range // of each; the ranges of one differ in protocol alone
}

// group returns the group with some ports, and adds an empty one if it is new.
func (g *groups[G]) group(ports []port.Range) *G {
	i := g.find(ports)
	if i < 0 {
		i = len(g.list)
		g.list = append(g.list, new(G))
		g.ports = append(g.ports, ports)
	}
	return g.list[i]
}

// find returns the index of the group with some ports, or -1.
func (g *groups[G]) find(ports []port.Range) int {
	return slices.IndexFunc(g.ports, func(of []port.Range) bool { return slices.Equal(of, ports) })
}

// offset returns the distance of a packet's port from the first port of its group.
func (g *groups[G]) offset(group int, a *arrival) int {
	// The ranges of a group differ in protocol alone: any of them will do.
	return int(a.element.First - g.ports[group][0].First)
}

// register makes an engine pass the packets to the ports of all groups to a family.
func (g *groups[G]) register(e *Engine, family listener) {
	for i, ranges := range g.ports {
		for _, r := range ranges {
			e.spans = append(e.spans, span{r, family, i})
		}
	}
}

// groupMap returns the function that maps the groups of another engine's family to
// these, or to -1 where none has the same ports.
func (g *groups[G]) groupMap(old *groups[G]) func(int) int {
	return func(group int) int { return g.find(old.ports[group]) }
}
