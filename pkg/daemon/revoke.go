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

// Revoke ends grants and, if r.Cut is set, connections. It may be called from any
// goroutine while Run works after Ready. It blocks until the keeper has answered and, with
// Cut, until the host's connections are listed; knocks and reloads do not wait for the
// listing. On error the result says what was done before it.
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

// revocable parses the service of a request. Without one, it returns all ports of both
// protocols.
func revocable(service string) ([]port.Range, error) {
	if service == "" {
		return []port.Range{{Protocol: packet.TCP, First: 1, Last: 65535}, {Protocol: packet.UDP, First: 1, Last: 65535}}, nil
	}
	s, err := port.ParseService(service)
	return []port.Range{s}, err
}

// revoke ends the grants of sources within a prefix to services, and returns how many have
// ended, on error too.
func (k *keeper) revoke(from netip.Prefix, services []port.Range) (ended int, err error) {
	for _, s := range services {
		var grants []gate.Grant
		err = k.withTable(func() (err error) {
			grants, err = k.gate.Revoke(from, s)
			return err
		})
		if err != nil && !errors.Is(err, gate.ErrNoGrant) {
			break
		}
		err = nil
		for _, g := range grants {
			k.timers.remove(keyOf(g))
			if ended++; ended <= maxReported {
				k.events.Emit(event.EndedEarly{RunningGrant: keyOf(g).event(g.Access), Reason: revoked})
			}
		}
	}
	if more := ended - maxReported; more > 0 {
		k.events.Emit(event.EndingsOmitted{Count: more, Reason: revoked})
	}
	return ended, err
}

// revoked is the reason in events about grants that a command ended.
const revoked = "revoked"

// stillIn names the grants of which only a part was to be revoked. They continue: a set
// element can only be deleted as a whole.
func (k *keeper) stillIn(from netip.Prefix, services []port.Range) string {
	var list []string
	for _, s := range services {
		for _, key := range k.timers.overlapping(from, s) {
			list = append(list, wording.Prefix(key.source)+" to "+key.service.String())
		}
	}
	slices.Sort(list) // timers are listed in the random order of a map
	if more := len(list) - maxStillIn; more > 0 {
		list = append(list[:maxStillIn], fmt.Sprint(more, " more"))
	}
	return strings.Join(list, ", ")
}

// maxStillIn is how many grants stillIn names.
const maxStillIn = 10

// cut ends the connections of sources within a prefix to a service, and returns how many.
// It runs in the goroutine of the caller of Revoke, since the listing takes long on a busy
// host; only the end of the connections is left to the keeper.
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
