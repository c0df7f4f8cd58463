// Package daemon joins the parts: packets from nflog through the engines to
// decisions, decisions to the disk and into the gate, and reload. It is the one
// package that knows all others.
//
// A packet's way: worker (one goroutine and one engine per NFLOG group) -> router
// (refusals become events; what spends a token or a count waits for the disk in the
// queue of package spent) -> keeper (the one goroutine that owns the gate). The keeper
// waits for no disk, log or listing; other goroutines ask it to carry out commands.
// On the way from worker to keeper nothing is dropped: while the keeper is busy,
// packets wait in the kernel's queue.
package daemon

import (
	"context"
	"errors"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"nftknock/pkg/control"
	"nftknock/pkg/event"
	"nftknock/pkg/gate"
	"nftknock/pkg/nflog"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/spent"
	"nftknock/pkg/wording"
)

// Config is what a Daemon is made from.
type Config struct {
	// Policy says what to hide. It needs no keys: see policy.Outline.
	Policy *policy.Policy
	// Load gives the policy with its keys, worked out: at the start, when
	// services are hidden already, and for each reload. See plan.Load.
	Load func() (*plan.Plan, policy.Diagnostics)

	// Events gets what happens; nil for nobody.
	Events *event.Dispatcher
	// SetLogLevel, unless nil, is called with the level of each policy that is
	// taken up.
	SetLogLevel func(policy.LogLevel)

	// OpenSource and OpenGate reach the kernel, or a fake of it.
	OpenSource func(nflog.Config) (nflog.Source, error)
	OpenGate   func(gate.Config) (gate.Gate, error)
	// OpenStore opens the store of spent tokens at a path. It is called only
	// for a policy that needs one.
	OpenStore func(path string) (spent.Spender, error)
	// OpenLinks lists the host's interfaces. Without it all but lo are guarded.
	OpenLinks func() (Links, error)
	// Notify, unless nil, tells the service manager of a change of state, in
	// the words of sd_notify(3).
	Notify func(state string)
}

// Daemon hides the services of a policy and lets knockers in.
type Daemon struct {
	config     Config // does not change
	events     *event.Dispatcher
	plan       *plan.Plan // the one taken up last
	workers    []*worker
	router     *router
	keeper     *keeper
	interfaces *interfaces
	reloads    chan chan<- error
	stopping   chan struct{}
	group      *errgroup.Group
	reading    errgroup.Group // the workers alone
}

// New makes a daemon that does nothing before Run.
func New(c Config) *Daemon {
	if c.Notify == nil {
		c.Notify = func(string) {}
	}
	if c.SetLogLevel == nil {
		c.SetLogLevel = func(policy.LogLevel) {}
	}
	return &Daemon{
		config:   c,
		events:   c.Events,
		router:   newRouter(c.Events),
		reloads:  make(chan chan<- error),
		stopping: make(chan struct{}),
	}
}

// StartError is why a daemon could not begin after it had hidden the services.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() + "; " + StayHidden }

// Unwrap gives what went wrong.
func (e *StartError) Unwrap() error { return e.Err }

// StayHidden is what a StartError means for the host.
const StayHidden = "services stay hidden: the table is in place"

// Run works until ctx is done. It then leaves the table and its running grants
// in the kernel and returns nil.
//
// Services are hidden first, by the policy alone; packets, the store and the keys
// come after that, and whichever of them fails is a *StartError. Any other error
// before "ready" means that nothing in the kernel has changed; later, Run fails
// only if reading packets does. It can be called once.
func (d *Daemon) Run(ctx context.Context) error {
	socket, err := d.listen()
	if err != nil {
		return err
	}
	if socket != nil {
		defer socket.Close()
	}
	d.interfaces = newInterfaces(d.config.OpenLinks, d.events)
	defer d.interfaces.close()
	g, err := d.hide()
	if err != nil {
		return err
	}
	defer g.Close()
	d.keeper = newKeeper(g, d.plan, d.router)
	d.keeper.resume()

	d.group, ctx = errgroup.WithContext(ctx)
	// Not the context of the daemon: what is submitted may still be recorded
	// when that is done, as long as the keeper waits for it.
	recording, leave := context.WithCancel(context.Background())
	defer leave()
	go d.router.spends.Run(recording)
	d.group.Go(d.keeper.run)
	go d.follow(ctx)
	d.group.Go(func() error {
		// The keeper ends when the last worker has routed its last decision.
		defer d.router.finish()
		switch err := d.begin(ctx); {
		case errors.Is(err, errStopping):
			return nil
		case err != nil:
			return err
		}
		return d.work(ctx, socket)
	})
	err = d.group.Wait()
	if start := (*StartError)(nil); !errors.As(err, &start) {
		d.events.Emit(event.Stopped{})
	}
	return err
}

// work lets knockers in until ctx is done.
func (d *Daemon) work(ctx context.Context, socket net.Listener) error {
	d.watching(func(w event.Watch) event.Event { return event.Ready{Watch: w} }) // before a reload may change it
	for _, w := range d.workers {
		d.start(w)
	}
	if socket != nil {
		d.group.Go(func() error {
			if err := control.Serve(ctx, socket, d); err != nil {
				d.events.Emit(event.ControlFailed{Err: err}) // knocks do not need it
			}
			return nil
		})
	}
	d.supervise(ctx)
	d.closeWorkers()
	return d.reading.Wait()
}

// start runs a worker. Its failure ends the daemon.
func (d *Daemon) start(w *worker) {
	d.reading.Go(func() error {
		err := w.run()
		if err != nil {
			d.group.Go(func() error { return err })
		}
		return err
	})
}

func (d *Daemon) closeWorkers() {
	for _, w := range d.workers {
		if err := w.source.Close(); err != nil {
			d.events.Emit(event.NFLogCloseFailed{Group: w.group, Err: err})
		}
	}
}

// supervise reloads and reports losses until ctx is done.
func (d *Daemon) supervise(ctx context.Context) {
	losses := time.NewTicker(10 * time.Second)
	defer losses.Stop()
	var lost losing
	for {
		select {
		case <-ctx.Done():
			d.config.Notify("STOPPING=1")
			close(d.stopping)
			return
		case done := <-d.reloads:
			done <- d.reload(ctx)
		case <-losses.C:
			lost = d.reportLosses(lost)
		}
	}
}

// losing counts what was not looked at.
type losing struct{ packets, untried uint64 }

// reportLosses warns when more was lost since the last time.
func (d *Daemon) reportLosses(before losing) (now losing) {
	for _, w := range d.workers {
		now.packets += w.source.Stats().Lost
		now.untried += w.untried.Load()
	}
	if n := now.packets - before.packets; n > 0 {
		d.events.Emit(event.Lost{Packets: n})
	}
	if now.untried > before.untried {
		d.events.Emit(event.Overload{})
	}
	return now
}

// maxWarnings is how many warnings of a policy are reported one by one: thousands
// of accesses may have the same.
const maxWarnings = 100

// warn reports what is legal and weak in a policy.
func (d *Daemon) warn(warnings policy.Diagnostics) {
	more := len(warnings) - maxWarnings
	for _, w := range warnings[:min(len(warnings), maxWarnings)] {
		d.events.Emit(event.PolicyWarning{Text: w.Text(), Place: event.Place{File: w.File, Row: w.Line, Column: w.Column}})
	}
	if more > 0 {
		d.events.Emit(event.PolicyWarningsOmitted{Count: more})
	}
}

// watching reports what is watched from now on, to the log and to the service
// manager.
func (d *Daemon) watching(what func(event.Watch) event.Event) {
	n := len(d.plan.Accesses)
	d.events.Emit(what(event.Watch{
		Table: d.plan.Ruleset.Table, First: d.workers[0].group, Last: d.workers[len(d.workers)-1].group, Accesses: n,
	}))
	d.config.Notify("READY=1\nSTATUS=" + wording.Count(n, "access", "accesses") + " watched")
}
