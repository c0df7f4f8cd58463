package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nftknock/pkg/control"
	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/wording"
)

// Revoke ends grants, and if asked to, connections. It may be called from any
// goroutine, and waits for the listing of connections without holding up anybody
// else.
func (d *Daemon) Revoke(_ context.Context, r control.Revocation) (control.Revoked, error) {
	services, err := revocable(r.Service)
	if err != nil {
		return control.Revoked{}, err
	}
	var done control.Revoked
	err = d.keeper.ask(revokeGrants{r.Source, services, &done})
	if err != nil || !r.Cut {
		return done, err
	}
	for _, s := range services {
		n, err := d.keeper.cut(r.Source, s)
		done.Connections += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// revocable gives the services that are meant by one, or by none.
func revocable(service string) ([]port.Range, error) {
	if service == "" {
		return []port.Range{{Protocol: packet.TCP, First: 1, Last: 65535}, {Protocol: packet.UDP, First: 1, Last: 65535}}, nil
	}
	s, err := port.ParseService(service)
	return []port.Range{s}, err
}

// revoke ends the grants of sources within a prefix, and gives their number.
func (k *keeper) revoke(from netip.Prefix, services []port.Range) (int, error) {
	ended := 0
	for _, s := range services {
		err := k.withTable(func() error { return k.gate.Revoke(from, s) })
		if err != nil && !errors.Is(err, gate.ErrNoGrant) {
			return ended, err
		}
		for _, p := range k.timers.within(from, s) {
			access := k.timers.access(p)
			k.timers.drop(p)
			if ended++; ended <= maxTold {
				k.events.Emit(event.EndedEarly{Passage: p.of(access), Reason: revoked})
			}
		}
	}
	if more := ended - maxTold; more > 0 {
		k.events.Emit(event.EndingsOmitted{Count: more, Reason: revoked})
	}
	return ended, nil
}

// revoked is why a grant ended that a command ended.
const revoked = "revoked"

// stillIn names the grants of which only a part could be revoked, which the kernel
// cannot do.
func (k *keeper) stillIn(from netip.Prefix, services []port.Range) string {
	var list []string
	for _, s := range services {
		for _, p := range k.timers.overlapping(from, s) {
			list = append(list, wording.Source(p.source)+" to "+p.service.String())
		}
	}
	slices.Sort(list)
	if more := len(list) - maxStillIn; more > 0 {
		list = append(list[:maxStillIn], fmt.Sprint(more, " more"))
	}
	return strings.Join(list, ", ")
}

// maxStillIn is how many grants stillIn names.
const maxStillIn = 10

// cut ends the connections of sources within a prefix, and gives their number.
func (k *keeper) cut(from netip.Prefix, s port.Range) (int, error) {
	c, err := k.gate.Connections(from, s)
	if err != nil || c.Len() == 0 {
		return 0, err
	}
	if err := k.ask(endConnections{c}); err != nil {
		return 0, err
	}
	k.events.Emit(event.Cut{Source: from, Open: s, Connections: c.Len()})
	return c.Len(), nil
}
