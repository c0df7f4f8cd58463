// Package replay runs a capture through a policy: which knocks would have been
// granted, and why not the others.
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

// Outcome is what a policy makes of one knock in a capture.
type Outcome struct {
	Time    time.Time `json:"time"`
	Source  string    `json:"src"`
	Access  string    `json:"access"`
	Knock   string    `json:"knock"`
	Verdict string    `json:"verdict"` // Granted or Refused
	Reason  string    `json:"reason"`  // empty when granted
	OS      string    `json:"os"`      // empty when unknown
	Open    string    `json:"open"`    // services, joined by commas
	Timeout string    `json:"timeout"` // "30s"
	Step    int       `json:"step"`    // packets of the knock that had arrived
}

// The verdicts of an Outcome.
const (
	Granted = "granted"
	Refused = "refused"
)

// Run hands the packets of a capture to an engine of a plan, at the times of the
// capture, and each outcome to emit. Tokens that were spent before the capture are
// not known, and limits are not counted. A knock that the capture leaves half-done
// is refused at its end. It returns how many packets went to knock ports.
func Run(p *plan.Plan, capt *capture.Reader, emit func(Outcome) error) (knockPackets uint64, err error) {
	engine, err := knock.New(p.Engine)
	if err != nil {
		return 0, err
	}
	r := run{plan: p, spent: make(map[spent.Token]bool), emit: emit}
	err = r.all(engine, capt)
	return engine.Stats().Packets, err
}

// run is the replay of one capture.
type run struct {
	plan  *plan.Plan
	spent map[spent.Token]bool
	emit  func(Outcome) error
}

func (r *run) all(engine *knock.Engine, capt *capture.Reader) error {
	var (
		p    packet.Packet
		last time.Time
	)
	for {
		at, ip, err := capt.Next()
		switch {
		case errors.Is(err, io.EOF):
			return r.report(engine.Flush(last))
		case errors.Is(err, capture.ErrNotIP):
			continue
		case err != nil:
			return err
		}
		last = at
		if packet.Decode(ip, &p) != nil {
			continue // a fragment or garbage is no knock
		}
		if err := r.report(engine.Handle(at, &p)); err != nil {
			return err
		}
	}
}

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

// spend refuses a knock whose token came before, and spends that of any other, as
// the daemon does for knocks that it grants and for those that it refuses.
func (r *run) spend(d *plan.Decision) {
	if !d.Authenticated {
		return
	}
	if d.Granted() && r.spent[d.Token] {
		d.Refused = plan.AlreadyUsed
	}
	r.spent[d.Token] = true
}

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
		o.Access, o.Knock = d.Access.Name, string(d.Access.Knock)
		o.Open, o.Timeout = port.Join(d.Services), wording.Duration(d.Timeout)
	}
	return o
}
