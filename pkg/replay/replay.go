// Package replay runs the packets of a capture through a policy, to find out which knocks
// would be granted and why the others would not.
package replay

import (
	"errors"
	"io"
	"time"

	"nftknock/pkg/capture"
	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/plan"
	"nftknock/pkg/port"
	"nftknock/pkg/spent"
	"nftknock/pkg/wording"
)

// Outcome is the decision about one knock in a capture, in the form of the command's output.
type Outcome struct {
	Time    time.Time `json:"time"`
	Source  string    `json:"src"`
	Access  string    `json:"access"` // empty if the knock may have been meant for several
	Knock   string    `json:"knock"`
	Verdict string    `json:"verdict"` // Granted or Refused
	Reason  string    `json:"reason"`  // empty when granted
	OS      string    `json:"os"`      // empty when unknown
	Open    string    `json:"open"`    // services, joined by commas
	Timeout string    `json:"timeout"` // such as "30s"
	Step    int       `json:"step"`    // packets of the knock that have arrived
}

// The verdicts of an Outcome.
const (
	Granted = "granted"
	Refused = "refused"
)

// Run hands the packets of a capture to an engine of a plan, with the times of the capture,
// and calls emit with each outcome. It does not know tokens that were spent before the
// capture, does not count limits, and takes it that no grant is used up or ends within five
// seconds. A knock that is incomplete at the end of the capture is
// refused. Run returns how many packets were sent to knock ports, and the first error of
// capt or emit.
func Run(p *plan.Plan, capt *capture.Reader, emit func(Outcome) error) (knockPackets uint64, err error) {
	engine, err := knock.New(p.Engine)
	if err != nil {
		return 0, err
	}
	r := run{plan: p, spent: make(map[spent.Token]bool), emit: emit}
	err = r.all(engine, capt)
	return engine.Stats().Packets, err
}

// run has the state of one call of Run.
type run struct {
	plan  *plan.Plan
	spent map[spent.Token]bool
	emit  func(Outcome) error
}

// all hands the packets to the engine.
func (r *run) all(engine *knock.Engine, capt *capture.Reader) error {
	var (
		p    packet.Packet
		last time.Time
	)
	for {
		at, ip, err := capt.Next()
		switch {
		case errors.Is(err, io.EOF):
			// The engine has no clock: at the time of the last packet, incomplete knocks have
			// not expired yet.
			return r.report(engine.Flush(last))
		case errors.Is(err, capture.ErrNotIP):
			continue
		case err != nil:
			return err
		}
		last = at
		if packet.Decode(ip, &p) != nil {
			continue // a fragment or an invalid packet is no knock
		}
		if err := r.report(engine.Handle(at, &p)); err != nil {
			return err
		}
	}
}

// report emits the outcomes of verdicts.
func (r *run) report(verdicts []knock.Verdict) error {
	for i := range verdicts {
		d := r.plan.Decide(&verdicts[i])
		r.spend(&d)
		if err := r.emit(outcome(&d)); err != nil {
			return err
		}
	}
	return nil
}

// spend refuses a knock that repeats the one before it, and one whose token was spent, and
// spends the token of every other. As in the daemon, tokens of refused knocks are spent, too.
func (r *run) spend(d *plan.Decision) {
	if d.Again {
		d.Refused = plan.Repeated
	}
	if !d.Authenticated {
		return
	}
	if d.Granted() && r.spent[d.Token] {
		d.Refused = plan.AlreadyUsed
	}
	r.spent[d.Token] = true
}

// outcome formats a decision.
func outcome(d *plan.Decision) Outcome {
	o := Outcome{
		Time:    d.Time,
		Source:  d.Source.String(),
		Verdict: Granted,
		Reason:  d.Refused.Words,
		OS:      d.OS,
		Step:    d.Step,
	}
	if !d.Granted() {
		o.Verdict = Refused
	}
	if d.Access != nil {
		o.Access, o.Knock = d.Access.Name, string(d.Access.Kind)
		o.Open, o.Timeout = port.Join(d.Services), wording.Duration(d.Timeout)
	}
	return o
}
