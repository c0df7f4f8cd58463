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
	"nftknock/pkg/lastpolicy"
	"nftknock/pkg/metrics"
	"nftknock/pkg/nflog"
	"nftknock/pkg/plan"
	"nftknock/pkg/policy"
	"nftknock/pkg/spent"
)

// Config is what New needs. Policy, Load, OpenSource, OpenGate and OpenStore are
// required.
type Config struct {
	// Policy says which services to hide. It may come without keys, as policy.Outline
	// reads it.
	Policy *policy.Policy
	// Bad, unless nil, says why the policy in the files cannot be used. Policy is that of Last
	// then, the last one that worked.
	Bad  error
	Last *lastpolicy.Copy
	// Load reads the policy in the files with its keys and makes a plan of it, as plan.Load
	// does. It is called at the start, after services are hidden and unless Bad is set, and
	// for each reload. It may take seconds; it may still be running when Run returns.
	Load func() (*plan.Plan, policy.Diagnostics)
	// FindLast returns the last policy that worked, for a policy whose table cannot be
	// written. Keep keeps one as such. It may block, and may still be running when Run
	// returns. Both may be nil.
	FindLast func() (*lastpolicy.Copy, error)
	Keep     func(*policy.Policy) error

	// Guard, unless 0, puts the policy of the start on trial for this time, as the first one of
	// the host: unless a knock is granted or Confirm is called before, Run removes the table
	// and returns ErrUndone. If ctx is done before, Run removes the table, too.
	Guard time.Duration
	// Notes, unless nil, notes on disk that a policy is on trial. Noted says that there is a
	// note from before the start: it is taken back when the policy is in force without a trial.
	Notes Notes
	Noted bool

	// Events gets all events of the daemon; nil drops them.
	Events *event.Dispatcher
	// SetLogLevel, unless nil, is called with the log level of each policy that comes
	// into force.
	SetLogLevel func(policy.LogLevel)

	// OpenSource and OpenGate connect to the kernel, or to a fake of it. OpenSource is called
	// again, from several goroutines, for a group that could not be opened or read.
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
	config     Config // does not change once the table is written
	events     *event.Dispatcher
	plan       *plan.Plan // in force; belongs to the goroutine of Run, and then of supervise
	workers    []*worker  // does not change once supervise runs
	router     *router
	keeper     *keeper
	metrics    *metrics.Metrics
	interfaces *interfaces
	conditions conditions    // what is wrong now
	started    time.Time     // of Run
	surveying  chan struct{} // has room for one: whoever lists the grants for a request
	// policySince is when the plan in force came into force.
	policySince atomic.Pointer[time.Time]
	discarded   <-chan struct{} // closed when the last store that opened too late for a reload is closed; nil for none
	reloads     chan reloadRequest
	confirms    chan chan<- confirmAnswer
	guard       *guard          // nil: the policy in force is confirmed
	outcome     outcome         // of the last trial
	noted       bool            // there may be a note about a trial on disk
	removed     bool            // a first policy was undone: the table is gone
	end         func()          // ends Run
	stopping    chan struct{}   // closed by endReloads
	endReloads  func()          // answers every Reload, now and later, with errStopping
	group       *errgroup.Group // all goroutines that Run waits for
	reading     sync.WaitGroup  // the workers alone

	bad    error            // why the policy in the files is not in force; of the goroutine of supervise, as plan
	last   *lastpolicy.Copy // that is in force in its place; nil if it is the policy as the files had it before
	keeps  keeps
	unread unread
	told   atomic.Pointer[string] // the status that the service manager has
	again  chan again             // the answer of a second look at what was missing for the plan
	asked  bool                   // an answer is on its way to again
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
		bad:       c.Bad,
		last:      c.Last,
		keeps:     newKeeps(c.Keep, c.Events),
		again:     make(chan again, 1),
		router:    newRouter(c.Events),
		surveying: make(chan struct{}, 1),
		reloads:   make(chan reloadRequest),
		confirms:  make(chan chan<- confirmAnswer),
		noted:     c.Noted,
		stopping:  stopping,
		// A receive from a closed channel never waits. To close it twice would panic.
		endReloads: sync.OnceFunc(func() { close(stopping) }),
	}
	d.router.wrong = &d.conditions
	d.keeps.wrong = &d.conditions
	return d
}

// StartError is the error of a start that failed after the table was written.
type StartError struct {
	Err   error
	hides event.Hides
}

func (e *StartError) Error() string { return e.Err.Error() + "; " + e.Meaning() }

// Unwrap returns the error without the consequence.
func (e *StartError) Unwrap() error { return e.Err }

// Meaning says what the error means for the host.
func (e *StartError) Meaning() string {
	if e.hides.Elsewhere {
		return "no knock is received; services are hidden or open as the firewall of this host has it"
	}
	return "services stay hidden: the table is in place"
}

// Run hides services and grants access until ctx is done, and then returns nil. The
// table and its running grants stay in the kernel.
//
// Run first writes the table, for which it needs the policy alone, and then opens the
// NFLOG groups, the store and the control socket and reads the keys. Those of these that
// fail are reported and tried again; without them, services stay hidden, and whatever can be
// done without them is done. If no plan can be put into force after the table is written, the
// error is a *StartError. Any other error means that Run has changed nothing in the kernel.
// Run may be called once.
func (d *Daemon) Run(ctx context.Context) error {
	defer d.endReloads() // for a start that fails before supervise
	d.started = time.Now()
	defer d.countEvents()()
	socket, err := d.listen()
	if errors.Is(err, control.ErrRunning) {
		return err
	}
	if socket != nil {
		defer socket.Close()
	}
	noSocket := err
	d.interfaces = newInterfaces(d.config.OpenLinks, d.events)
	d.interfaces.wrong = &d.conditions
	defer d.interfaces.close()
	if err := d.beginFirst(); err != nil {
		return err
	}
	g, err := d.hideServices()
	if err != nil {
		return err
	}
	defer g.Close()
	d.keeper = newKeeper(g, d.plan, d.router)
	d.keeper.conditions = &d.conditions
	d.keeper.resume()
	d.keeper.noteTrouble()

	stop := ctx
	ctx, d.end = context.WithCancel(ctx)
	defer d.end()
	// The context of the group is done when ctx is, or when a function of the group
	// fails: the failure of one ends all.
	d.group, ctx = errgroup.WithContext(ctx)
	// Not derived from ctx: tokens that were submitted may still be recorded after ctx
	// is done, for as long as the keeper waits for them.
	recording, cancel := context.WithCancel(context.Background())
	defer cancel()
	// Not in the group: they cannot be interrupted while they wait for a disk that hangs.
	go d.router.spends.Run(recording)
	go d.keeps.run(ctx)
	d.group.Go(d.keeper.run)
	d.group.Go(func() error { d.followInterfaces(ctx); return nil })
	d.group.Go(func() error {
		// Closing the channel of decisions ends the keeper, so it is closed after the
		// last worker has sent its last decision.
		defer d.router.finish()
		if err := d.openInTime(ctx); err != nil {
			return d.startFailed(err)
		}
		d.work(ctx, socket, noSocket)
		return nil
	})
	err = d.group.Wait()
	d.keeps.wait(diskTimeout)
	if d.removed {
		d.events.EmitOmitted() // and not Stopped: nothing stays hidden
		if err == nil && stop.Err() == nil {
			return ErrUndone
		}
		return err
	}
	if start := (*StartError)(nil); !errors.As(err, &start) {
		d.events.EmitOmitted()
		d.events.Emit(event.Stopped{Hides: hidesBy(d.keeper.plan().Policy)})
	}
	return err
}

// work runs the workers, the control socket and supervise until ctx is done. It returns
// when all workers have ended. noSocket is why there is no control socket, nil if the policy
// wants none.
func (d *Daemon) work(ctx context.Context, socket net.Listener, noSocket error) {
	// Before supervise runs, since a reload replaces the plan that is reported here.
	d.announce(func(w event.Watch) event.Event { return event.Ready{Watch: w} })
	for _, w := range d.workers {
		d.reading.Go(w.run)
	}
	if address := d.config.Policy.Metrics.Listen; d.metrics != nil {
		d.group.Go(func() error { d.serveMetrics(ctx, address); return nil })
	}
	if socket != nil || noSocket != nil {
		d.group.Go(func() error { d.serveControl(ctx, socket, noSocket); return nil })
	}
	d.supervise(ctx)
	d.closeSources() // a Read that waits for a packet returns os.ErrClosed
	d.reading.Wait()
}

// closeSources closes the NFLOG groups, which ends the workers.
func (d *Daemon) closeSources() {
	for _, w := range d.workers {
		if err := w.source.close(); err != nil {
			d.events.Emit(event.NFLogCloseFailed{Group: w.group, Err: err})
		}
	}
}

// lossInterval is the time between two checks for lost packets and for what was missing for
// the plan, omittedInterval that between two counts of the lines that the log leaves out, and
// reminderInterval that between two lines about a policy that cannot be used.
const (
	lossInterval     = 10 * time.Second
	omittedInterval  = time.Minute
	reminderInterval = time.Hour
)

// supervise carries out requests to reload and to confirm, one after the other, undoes a policy
// on trial when its time is over, and reports lost
// packets and omitted lines, until ctx is done.
func (d *Daemon) supervise(ctx context.Context) {
	ticker := time.NewTicker(lossInterval)
	defer ticker.Stop()
	omitted := time.NewTicker(omittedInterval)
	defer omitted.Stop()
	reminder := time.NewTicker(reminderInterval)
	defer reminder.Stop()
	var reported losses
	for {
		select {
		case <-ctx.Done():
			d.config.Notify("STOPPING=1")
			d.endReloads()
			d.undoAtEnd("the daemon was stopped before anybody confirmed it")
			return
		case r := <-d.reloads:
			reloaded, err := d.reload(ctx, r.Reload)
			r.done <- reloadAnswer{reloaded, err}
		case done := <-d.confirms:
			done <- d.confirmByCommand()
		case p := <-d.keeper.proofs:
			d.proven(p)
		case <-d.over():
			d.timeOver()
		case <-ticker.C:
			reported = d.reportLosses(reported)
			d.lookAgain()
			d.tellStatus() // of conditions that were set by others than setCondition
		case a := <-d.again:
			d.restore(ctx, a)
		case <-reminder.C:
			d.remind()
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
	// READY=1 also ends the state that RELOADING=1 began: see sd_notify(3). It is sent although
	// something may be wrong: services are hidden, and without it systemd would end the daemon.
	d.told.Store(nil)
	d.config.Notify("READY=1")
	d.tellStatus()
}
