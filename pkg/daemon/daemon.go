// Package daemon connects the other packages: it reads packets from nflog, hands them
// to engines, records the tokens of their verdicts on disk, makes grants in the gate,
// and reloads the policy.
//
// Goroutines, in the order in which a packet meets them:
//   - a worker per NFLOG group, with an engine of its own. It hands decisions to the
//     router, which has no goroutine: a refusal becomes an event, and a decision with a
//     token or a count waits in the queue of package spent until that is on disk;
//   - the keeper, which owns the gate. It waits for no disk and no log; other goroutines
//     ask it to carry out commands.
//
// No decision is dropped between worker and keeper: while the keeper is busy, workers
// wait, and packets wait in the kernel's queue.
package daemon

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
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

// Config is what New needs. Policy, Load, OpenSource, OpenGate and OpenStore are
// required.
type Config struct {
	// Policy says which services to hide. It may come without keys, as policy.Outline
	// reads it.
	Policy *policy.Policy
	// Load reads the policy with its keys and makes a plan of it, as plan.Load does. It
	// is called at the start, after services are hidden, and for each reload. It may
	// take seconds; it may still be running when Run returns.
	Load func() (*plan.Plan, policy.Diagnostics)

	// Events gets all events of the daemon; nil drops them.
	Events *event.Dispatcher
	// SetLogLevel, unless nil, is called with the log level of each policy that comes
	// into force.
	SetLogLevel func(policy.LogLevel)

	// OpenSource and OpenGate connect to the kernel, or to a fake of it.
	OpenSource func(nflog.Config) (nflog.Source, error)
	OpenGate   func(gate.Config) (gate.Gate, error)
	// OpenStore opens the store of spent tokens at a path. It is called only for a
	// policy that needs the store, and again every few seconds if it failed at the
	// start; the calls come from several goroutines, one at a time. It may block: it may
	// still be running when Run returns, and what it returns then is closed.
	OpenStore func(path string) (spent.Spender, error)
	// OpenLinks opens the list of the host's interfaces. If it is nil or fails, all
	// interfaces but lo are guarded.
	OpenLinks func() (Links, error)
	// Notify, unless nil, sends a state in the format of sd_notify(3) to the service
	// manager.
	Notify func(state string)
}

// Daemon hides the services of a policy, and grants access to sources that knock.
type Daemon struct {
	config     Config // does not change
	events     *event.Dispatcher
	plan       *plan.Plan // in force; belongs to the goroutine of Run, and then of supervise
	workers    []*worker  // does not change once supervise runs
	router     *router
	keeper     *keeper
	interfaces *interfaces
	conditions conditions    // what is wrong now
	started    time.Time     // of Run
	surveying  chan struct{} // has room for one: whoever lists the grants for a request
	// policySince is when the plan in force came into force.
	policySince atomic.Pointer[time.Time]
	discarded   <-chan struct{} // closed when the last store that opened too late for a reload is closed; nil for none
	reloads     chan reloadRequest
	stopping    chan struct{}   // closed by endReloads
	endReloads  func()          // answers every Reload, now and later, with errStopping
	group       *errgroup.Group // all goroutines that Run waits for
	reading     errgroup.Group  // the workers alone
}

// New makes a daemon. It opens nothing; Run does.
func New(c Config) *Daemon {
	if c.Notify == nil {
		c.Notify = func(string) {}
	}
	if c.SetLogLevel == nil {
		c.SetLogLevel = func(policy.LogLevel) {}
	}
	stopping := make(chan struct{})
	d := &Daemon{
		config:    c,
		events:    c.Events,
		router:    newRouter(c.Events),
		surveying: make(chan struct{}, 1),
		reloads:   make(chan reloadRequest),
		stopping:  stopping,
		// A receive from a closed channel never waits. To close it twice would panic.
		endReloads: sync.OnceFunc(func() { close(stopping) }),
	}
	d.router.wrong = &d.conditions
	return d
}

// StartError is the error of a start that failed after the services were hidden.
type StartError struct{ Err error }

func (e *StartError) Error() string { return e.Err.Error() + "; " + StayHidden }

// Unwrap returns the error without the consequence.
func (e *StartError) Unwrap() error { return e.Err }

// StayHidden says what a StartError means for the host.
const StayHidden = "services stay hidden: the table is in place"

// Run hides services and grants access until ctx is done, and then returns nil. The
// table and its running grants stay in the kernel.
//
// Run first writes the table, for which it needs the policy alone, and then opens the
// NFLOG groups and the store and reads the keys. If one of these fails, the error is a
// *StartError. Any other error before the event Ready means that Run has changed nothing
// in the kernel. After Ready, Run fails only if packets cannot be read any more. Run may
// be called once.
func (d *Daemon) Run(ctx context.Context) error {
	defer d.endReloads() // for a start that fails before supervise
	d.started = time.Now()
	socket, err := d.listen()
	if err != nil {
		return err
	}
	if socket != nil {
		defer socket.Close()
	}
	d.interfaces = newInterfaces(d.config.OpenLinks, d.events)
	d.interfaces.wrong = &d.conditions
	defer d.interfaces.close()
	g, err := d.hideServices()
	if err != nil {
		return err
	}
	defer g.Close()
	d.keeper = newKeeper(g, d.plan, d.router)
	d.keeper.conditions = &d.conditions
	d.keeper.resume()
	d.keeper.noteTrouble()

	// The context of the group is done when ctx is, or when a function of the group
	// fails: the failure of one ends all.
	d.group, ctx = errgroup.WithContext(ctx)
	// Not derived from ctx: tokens that were submitted may still be recorded after ctx
	// is done, for as long as the keeper waits for them.
	recording, cancel := context.WithCancel(context.Background())
	defer cancel()
	// Not in the group: it cannot be interrupted while it waits for a disk that hangs.
	go d.router.spends.Run(recording)
	d.group.Go(d.keeper.run)
	d.group.Go(func() error { d.followInterfaces(ctx); return nil })
	d.group.Go(func() error {
		// Closing the channel of decisions ends the keeper, so it is closed after the
		// last worker has sent its last decision.
		defer d.router.finish()
		switch err := d.openAll(ctx); {
		case errors.Is(err, errStopping):
			return nil
		case err != nil:
			return err
		}
		return d.work(ctx, socket)
	})
	err = d.group.Wait()
	if start := (*StartError)(nil); !errors.As(err, &start) {
		d.events.EmitOmitted()
		d.events.Emit(event.Stopped{})
	}
	return err
}

// work runs the workers, the control socket and supervise until ctx is done. It returns
// when all workers have ended, with the first error of a worker.
func (d *Daemon) work(ctx context.Context, socket net.Listener) error {
	// Before supervise runs, since a reload replaces the plan that is reported here.
	d.announce(func(w event.Watch) event.Event { return event.Ready{Watch: w} })
	for _, w := range d.workers {
		d.start(w)
	}
	if socket != nil {
		d.group.Go(func() error {
			if err := control.Serve(ctx, socket, d); err != nil {
				// Not returned: that would end the daemon, and knocks do not need the
				// socket.
				d.events.Emit(event.ControlFailed{Err: err})
			}
			return nil
		})
	}
	d.supervise(ctx)
	d.closeSources() // a Read that waits for a packet returns os.ErrClosed
	return d.reading.Wait()
}

// start runs a worker in a goroutine of its own. If the worker fails, the daemon ends.
func (d *Daemon) start(w *worker) {
	d.reading.Go(func() error {
		err := w.run()
		if err != nil {
			// The error of d.reading is seen only when all workers have ended. An error
			// in d.group cancels its context now, which ends the other workers. Go is
			// safe here although Run is in Wait: work is in the group and waits for this
			// function.
			d.group.Go(func() error { return err })
		}
		return err
	})
}

// closeSources closes the NFLOG groups, which ends the workers.
func (d *Daemon) closeSources() {
	for _, w := range d.workers {
		if err := w.source.Close(); err != nil {
			d.events.Emit(event.NFLogCloseFailed{Group: w.group, Err: err})
		}
	}
}

// lossInterval is the time between two checks for lost packets, and omittedInterval that
// between two counts of the lines that the log leaves out.
const (
	lossInterval    = 10 * time.Second
	omittedInterval = time.Minute
)

// supervise carries out requests to reload, one after the other, and reports lost
// packets and omitted lines, until ctx is done.
func (d *Daemon) supervise(ctx context.Context) {
	ticker := time.NewTicker(lossInterval)
	defer ticker.Stop()
	omitted := time.NewTicker(omittedInterval)
	defer omitted.Stop()
	var reported losses
	for {
		select {
		case <-ctx.Done():
			d.config.Notify("STOPPING=1")
			d.endReloads()
			return
		case r := <-d.reloads:
			reloaded, err := d.reload(ctx, r.Reload)
			r.done <- reloadAnswer{reloaded, err}
		case <-ticker.C:
			reported = d.reportLosses(reported)
		case <-omitted.C:
			d.events.EmitOmitted()
		}
	}
}

// losses are totals of all workers since the start.
type losses struct {
	packets uint64 // that the kernel dropped because they were not read in time
	untried uint64 // knocks that were not checked against every key
}

// reportLosses emits warnings if there are more losses than before, and returns the
// totals now.
func (d *Daemon) reportLosses(before losses) (now losses) {
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

// maxWarnings is how many warnings about a policy get a line each: thousands of
// accesses may have the same weakness.
const maxWarnings = 100

// warn reports the warnings about a policy.
func (d *Daemon) warn(warnings policy.Diagnostics) {
	more := len(warnings) - maxWarnings
	for _, w := range warnings[:min(len(warnings), maxWarnings)] {
		d.events.Emit(event.PolicyWarning{Text: w.Text(), Place: event.Place{File: w.File, Row: w.Line, Column: w.Column}})
	}
	if more > 0 {
		d.events.Emit(event.PolicyWarningsOmitted{Count: more})
	}
}

// announce reports the table, groups and accesses of the plan in force, to the log and
// to the service manager.
func (d *Daemon) announce(newEvent func(event.Watch) event.Event) {
	n := len(d.plan.Accesses)
	d.events.Emit(newEvent(event.Watch{
		Table: d.plan.Ruleset.Table, First: d.workers[0].group, Last: d.workers[len(d.workers)-1].group, Accesses: n,
	}))
	// READY=1 also ends the state that RELOADING=1 began: see sd_notify(3).
	d.config.Notify("READY=1\nSTATUS=" + wording.Count(n, "access", "accesses") + " watched")
}
