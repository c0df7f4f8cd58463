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

// listen opens the control socket, if there is to be one. A second daemon ends
// here, before it has changed anything.
func (d *Daemon) listen() (net.Listener, error) {
	path := d.config.Policy.Control.Socket
	if path == "" {
		return nil, nil
	}
	return control.Listen(path)
}

// hide writes the table.
func (d *Daemon) hide() (gate.Gate, error) {
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
	err = d.interfaces.begin(d.config.Policy.NFTables.Interfaces, func(unguarded []string) error {
		r := *d.plan.Ruleset
		r.Unguarded = unguarded
		return g.Apply(&r)
	})
	if err != nil {
		return nil, errors.Join(err, g.Close())
	}
	return g, nil
}

// begin opens all that can be slow or fail, while the keeper keeps the table. It
// returns errStopping when ctx is done before that has come to its end.
func (d *Daemon) begin(ctx context.Context) error {
	err := d.openWorkers()
	if err == nil {
		d.openStoreOrWait(d.plan)
		err = d.takeUp(ctx)
	}
	if err == nil {
		return nil
	}
	d.closeWorkers()
	if errors.Is(err, errStopping) {
		return err
	}
	return &StartError{err}
}

// openWorkers subscribes to every group of the policy. From here on, packets
// wait in the kernel's queue.
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

// copyRange takes the longest packet of SPA, 1500 bytes, and its headers.
const copyRange = 2048
