package daemon

import (
	"errors"
	"io"
	"time"

	"nftknock/pkg/capture"
	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
)

// Outcome is what a plan makes of one knock in a capture.
type Outcome struct {
	Time    time.Time `json:"time"`
	Source  string    `json:"src"`
	Access  string    `json:"access"`
	Knock   string    `json:"knock"`
	Verdict string    `json:"verdict"` // "granted" or "refused"
	Reason  string    `json:"reason"`  // empty when granted
	OS      string    `json:"os"`      // empty when not told
	Open    string    `json:"open"`    // services, joined by commas
	Timeout string    `json:"timeout"` // "30s"
	Step    int       `json:"step"`    // packets of the knock that had arrived
}

// Granted is the verdict of a knock that would have been let in.
const Granted = "granted"

// Replay runs a capture through an engine, as if its packets arrived now, and
// hands every outcome to emit. What was spent before the
// capture is not known, and limits are not counted. A knock that the capture leaves half-done is
// refused at its end. It returns how many packets could have been knocks.
func Replay(plan *Plan, capt *capture.Reader, emit func(Outcome) error) (knockPackets uint64, err error) {
	engine, err := knock.New(plan.Engine)
	if err != nil {
		return 0, err
	}
	var (
		p    packet.Packet
		last time.Time
	)
	spent := make(map[[32]byte]bool)
	report := func(verdicts []knock.Verdict) error {
		for _, v := range verdicts {
			if err := emit(outcome(decision{plan, v}, spent)); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		at, ip, err := capt.Next()
		switch {
		case errors.Is(err, io.EOF):
			return engine.Stats().Packets, report(engine.Flush(last))
		case errors.Is(err, capture.ErrNotIP):
			continue
		case err != nil:
			return engine.Stats().Packets, err
		}
		last = at
		if packet.Decode(ip, &p) != nil {
			continue
		}
		if err := report(engine.Handle(at, &p)); err != nil {
			return engine.Stats().Packets, err
		}
	}
}

// outcome is what becomes of a knock, given the tokens that were spent before.
func outcome(d decision, spent map[[32]byte]bool) Outcome {
	v := d.verdict
	o := Outcome{
		Time:    v.Time,
		Source:  v.Source.String(),
		Verdict: "refused",
		Reason:  d.reason(),
		OS:      d.os(),
		Step:    v.Step,
	}
	if a := d.access(); a != nil {
		o.Access, o.Knock = a.Name, string(a.Knock)
		o.Open, o.Timeout = joined(d.open(a)), brief(d.timeout(a))
	}
	if v.Request != nil {
		if v.Granted() && spent[v.Request.Token] {
			o.Reason = alreadyUsed
			return o
		}
		spent[v.Request.Token] = true
	}
	if v.Granted() {
		o.Verdict = Granted
	}
	return o
}
