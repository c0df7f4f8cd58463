// Package daemon joins the parts: packets from nflog through the engines,
// grants into the gate, reload, and words for the log. It is the one package
// that knows all others.
//
// Each NFLOG group has a worker goroutine with an engine of its own; one
// keeper goroutine owns the gate and waits for nothing else; the recorder's
// goroutines wait for the disk; the supervisor reloads. On the way from
// worker to keeper nothing is dropped: while the keeper is busy, packets wait
// in the kernel's queue.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"golang.org/x/sync/errgroup"

	"nftknock/pkg/control"
	"nftknock/pkg/gate"
	"nftknock/pkg/nflog"
	"nftknock/pkg/policy"
	"nftknock/pkg/spent"
)

// Config is what a Daemon is made from.
type Config struct {
	// Policy says what to hide. It needs no keys: see policy.Outline.
	Policy *policy.Policy
	// Load gives the policy with its keys, worked out: at the start, when
	// services are hidden already, and for each reload. See LoadPlan.
	Load func() (*Plan, policy.Diagnostics)

	Log *slog.Logger
	// Level, unless nil, follows the policy's log level on reload.
	Level *slog.LevelVar

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
	Config
	plan      *Plan // the one taken up last
	workers   []*worker
	keeper    *keeper
	outskirts *outskirts
	recorder  *recorder
	decisions chan decision
	reloads   chan chan<- error
	stopping  chan struct{}
	group     *errgroup.Group
	reading   errgroup.Group // the workers alone
}

// New makes a daemon that does nothing before Run.
func New(c Config) *Daemon {
	if c.Notify == nil {
		c.Notify = func(string) {}
	}
	return &Daemon{
		Config:    c,
		decisions: make(chan decision, 256),
		reloads:   make(chan chan<- error),
		stopping:  make(chan struct{}),
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
	d.outskirts = newOutskirts(d.OpenLinks, d.Log)
	defer d.outskirts.close()
	g, err := d.hide()
	if err != nil {
		return err
	}
	defer g.Close()
	d.recorder = newRecorder(d.Log)
	d.keeper = newKeeper(g, d.Log, d.plan, d.recorder, d.decisions)
	d.keeper.resume()

	d.group, ctx = errgroup.WithContext(ctx)
	// Not the context of the daemon: what is submitted may still be recorded
	// when that is done, as long as the keeper waits for it.
	recording, leave := context.WithCancel(context.Background())
	defer leave()
	go d.recorder.Run(recording)
	d.group.Go(d.keeper.run)
	go d.follow(ctx)
	d.group.Go(func() error {
		// The keeper ends when the last worker has had its say.
		defer close(d.decisions)
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
		d.Log.Info("stopped; the table and its running grants stay", "event", "stopped")
	}
	return err
}

// work lets knockers in until ctx is done.
func (d *Daemon) work(ctx context.Context, socket net.Listener) error {
	d.ready("ready") // before a reload may change what it tells of
	for _, w := range d.workers {
		d.start(w)
	}
	if socket != nil {
		d.group.Go(func() error {
			if err := control.Serve(ctx, socket, d); err != nil {
				d.Log.Error(err.Error(), "event", "error") // knocks do not need it
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
			d.Log.Warn("close nflog: "+err.Error(), "event", "error")
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
			d.Notify("STOPPING=1")
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
		d.Log.Warn(fmt.Sprintf("%d packets lost: they came faster than they were read", n),
			"event", "lost", "packets", n)
	}
	if now.untried > before.untried {
		d.Log.Warn("CPU budget exhausted: some knocks were not checked against every key",
			"event", "overload")
	}
	return now
}

// maxWarnings is how many warnings of a policy the log takes: thousands of
// accesses may have the same.
const maxWarnings = 100

// warn tells what is legal and weak in a policy.
func (d *Daemon) warn(warnings policy.Diagnostics) {
	if more := len(warnings) - maxWarnings; more > 0 {
		warnings = warnings[:maxWarnings]
		defer d.Log.Warn(fmt.Sprintf("and %d more warnings: nftknockd check lists them", more), "event", "policy", "omitted", more)
	}
	for _, w := range warnings {
		d.Log.Warn(w.Text(), "event", "policy", "file", w.File, "line", w.Line, "column", w.Column)
	}
}

func (d *Daemon) ready(event string) {
	n := len(d.plan.Accesses)
	groups := fmt.Sprint("group ", d.workers[0].group)
	if last := d.workers[len(d.workers)-1].group; last != d.workers[0].group {
		groups = fmt.Sprint("groups ", d.workers[0].group, " to ", last)
	}
	d.Log.Info(fmt.Sprintf("%s: table inet %s, NFLOG %s, %s", event, d.plan.Ruleset.Table, groups, count(n, "access", "accesses")),
		"event", event, "accesses", n)
	d.Notify("READY=1\nSTATUS=" + count(n, "access", "accesses") + " watched")
}
