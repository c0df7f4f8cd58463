package daemon

import (
	"context"
	"errors"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// preventing are the conditions during which knocks, or some of them, open nothing. With the
// others the daemon works, if not as its policy says.
var preventing = map[string]bool{
	conditionNFLog: true, conditionStore: true, conditionTable: true, conditionAccesses: true, conditionSets: true,
}

// Status implements control.Handler. It waits for no other goroutine, except for a listing of
// grants that is under way, unless q.Brief is set.
func (d *Daemon) Status(ctx context.Context, q control.StatusQuery) (control.Status, error) {
	s := d.state()
	s.Grants, s.In = -1, []control.Grant{}
	if q.Brief {
		return s, nil
	}
	grants, err := d.survey(ctx)
	switch {
	case errors.Is(err, gate.ErrNoTable):
		// The keeper writes it again. There is no grant until then.
		s.Grants = 0
	case err != nil:
		return s, err
	default:
		s.Grants = len(grants)
		s.In = listed(grants[:min(len(grants), control.MaxShown)])
	}
	return s, nil
}

// state is the status without the grants.
func (d *Daemon) state() control.Status {
	p := d.keeper.plan()
	n := p.Policy.NFTables
	s := control.Status{
		Ready: true, Problems: d.conditions.list(), Since: d.started,
		Accesses: len(p.Accesses), Owner: string(policy.OwnerOff), Mode: string(n.Mode), Hide: string(n.Hide), Table: n.Table,
		Group: p.Policy.NFLog.Group, Workers: p.Policy.NFLog.Workers,
		Hidden: texts(port.Normal(p.Ruleset.Protected)), Interfaces: append([]string{}, n.Interfaces...), Unguarded: d.interfaces.left(),
		Store: d.router.storeState(p), Policy: "current", PolicySince: *d.policySince.Load(),
	}
	for _, c := range s.Problems {
		s.Ready = s.Ready && !preventing[c.Name]
		if c.Name == conditionPolicy {
			s.Policy = "earlier"
		}
	}
	if d.keeper.owned.Load() {
		s.Owner = string(policy.OwnerOn)
	}
	for _, w := range d.workers {
		stats := w.source.Stats()
		s.Packets += stats.Packets
		s.Lost += stats.Lost
		s.Untried += w.untried.Load()
	}
	return s
}

// storeState is the field Store of a status.
func (r *router) storeState(p *plan.Plan) string {
	switch {
	case !p.NeedsStore():
		return "not needed"
	case !r.spends.Ready() || r.wrong.has(conditionStore):
		return "not open"
	}
	return "open"
}

// left returns the interfaces whose packets pass, besides lo.
func (o *interfaces) left() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]string{}, o.unguarded...)
}

// Grants implements control.Handler. Knocks and reloads do not wait for the listing.
func (d *Daemon) Grants(ctx context.Context, q control.GrantQuery) (control.Grants, error) {
	all, err := d.survey(ctx)
	if err != nil {
		return control.Grants{Grants: []control.Grant{}}, err
	}
	var wanted []gate.Grant
	for _, g := range all {
		if !q.Within.IsValid() || q.Within.Overlaps(g.Source) {
			wanted = append(wanted, g)
		}
	}
	return control.Grants{Grants: listed(wanted[:min(len(wanted), control.MaxListed)]), Total: len(wanted)}, nil
}

// survey lists all grants in the goroutine of the request. There is one listing at a time,
// which bounds the memory that requests can take.
func (d *Daemon) survey(ctx context.Context) ([]gate.Grant, error) {
	select {
	case d.surveying <- struct{}{}:
		defer func() { <-d.surveying }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return d.keeper.gate.Survey()
}

// listed are grants as the control socket has them.
func listed(grants []gate.Grant) []control.Grant {
	list := make([]control.Grant, len(grants))
	for i, g := range grants {
		list[i] = control.Grant{
			Src: g.Source.Addr().String(), Open: g.Service.String(), Access: g.Access, Knock: g.Method,
			Remaining: g.Remaining.Round(time.Millisecond).Seconds(), Packets: g.Packets, Bytes: g.Bytes, SingleUse: g.Once, Masquerade: g.Masquerade,
		}
		if g.Forward.Port != 0 {
			list[i].Forward = g.Forward.String()
		}
		if !g.Source.IsSingleIP() {
			list[i].Prefix = g.Source.String()
		}
	}
	return list
}

func texts(services []port.Range) []string {
	list := make([]string, len(services))
	for i, s := range services {
		list[i] = s.String()
	}
	return list
}
