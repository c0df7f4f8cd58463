package daemon

import (
	"context"
	"errors"
	"net"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
	"nftknock/pkg/nflog"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
)

// listen opens the control socket of the policy, nil without one. It comes before all
// else, since a second daemon fails here and must not have changed the table by then.
func (d *Daemon) listen() (net.Listener, error) {
	path := d.config.Policy.Control.Socket
	if path == "" {
		return nil, nil
	}
	return control.Listen(path)
}

// hideServices writes the table, and returns the gate that owns it. On error nothing in the
// kernel has changed.
func (d *Daemon) hideServices() (gate.Gate, error) {
	var err error
	if d.plan, err = plan.Outline(d.config.Policy); err != nil {
		return nil, err
	}
	owner := map[policy.Owner]gate.OwnerMode{
		policy.OwnerAuto: gate.OwnerAuto, policy.OwnerOn: gate.OwnerOn, policy.OwnerOff: gate.OwnerOff,
	}[d.config.Policy.NFTables.Owner]
	g, err := d.config.OpenGate(gate.Config{Table: d.config.Policy.NFTables.Table, Owner: owner})
	if err != nil {
		return nil, err
	}
	err = d.interfaces.start(d.config.Policy.NFTables.Interfaces, func(unguarded []string) error {
		return writeTable(g, d.plan, unguarded)
	})
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// openAll opens the NFLOG groups and the store and loads the plan with its keys. This may
// take long; the keeper repairs the table in the meantime. The error is errStopping if ctx
// is done first, and a *StartError otherwise.
func (d *Daemon) openAll(ctx context.Context) error {
	err := d.openWorkers()
	if err == nil {
		err = d.openStoreOrRetry(ctx, d.plan)
	}
	if err == nil {
		err = d.applyPolicy(ctx, d.guard)
	}
	if err == nil {
		return nil
	}
	d.closeSources()
	if errors.Is(err, errStopping) {
		return err
	}
	return &StartError{err}
}

// openWorkers makes a worker for every NFLOG group of the policy. From here on, packets
// wait in the kernel's queue of the group until the workers run.
func (d *Daemon) openWorkers() error {
	for i := range d.config.Policy.NFLog.Workers {
		group := d.config.Policy.NFLog.Group + uint16(i)
		source, err := d.config.OpenSource(nflog.Config{Groups: []uint16{group}, CopyRange: copyRange})
		if err != nil {
			return err
		}
		d.workers = append(d.workers, &worker{group: group, source: source, route: d.router.route})
	}
	return nil
}

// copyRange is how many bytes of a packet the kernel copies: enough for the longest SPA
// packet, 1500 bytes, and its headers.
const copyRange = 2048
