package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"nftknock/pkg/client"
	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
)

// events are what standard output tells of a knock.
type events interface {
	plan(k client.Knock) // instead of all others
	start(k client.Knock)
	sent(k client.Knock, step int, e knock.Element) // step counts from 1
	finished(k client.Knock)
	open(k client.Knock, after time.Duration)
	closed(k client.Knock, after time.Duration)
}

func printer(o options, w io.Writer) events {
	switch {
	case o.json:
		return jsonLines{json.NewEncoder(w)}
	case o.quiet:
		return text{io.Discard}
	}
	return text{w}
}

// text is for people; its lines are those of the 2004 client.
type text struct{ w io.Writer }

func (t text) line(format string, args ...any) { fmt.Fprintf(t.w, "[+] "+format+"\n", args...) }

func (t text) plan(k client.Knock) {
	t.line("Test mode, nothing is sent. The sequence for knock server: %s", k.Dst)
	for i, e := range k.Sequence {
		t.sent(k, i+1, e)
	}
	if k.Delay > 0 {
		t.line("with a pause of %s between two knocks", k.Delay)
	}
	if k.Verify != (knock.Element{}) {
		t.line("then wait until %s is open", k.Verify)
	}
}

func (t text) start(k client.Knock) {
	t.line("Sending port knocking sequence to knock server: %s", k.Dst)
}

func (t text) sent(k client.Knock, _ int, e knock.Element) {
	if e.Protocol == packet.ICMP {
		t.line("icmp echo request -> %s", k.Dst)
		return
	}
	t.line("%s -> %s", e, k.Dst)
}

func (t text) finished(client.Knock) { t.line("Finished knock sequence.") }

func (t text) open(k client.Knock, after time.Duration) {
	t.line("%s on %s is open, after %s", k.Verify, k.Dst, after.Round(100*time.Microsecond))
}

// closed: the error on standard error says it.
func (t text) closed(client.Knock, time.Duration) {}

// jsonLines is for programs.
type jsonLines struct{ enc *json.Encoder }

type startEvent struct {
	Event  string  `json:"event"` // "start" or, with --test, "plan"
	Dst    string  `json:"dst"`
	Steps  int     `json:"steps"`
	Delay  float64 `json:"delay_s"`
	Verify string  `json:"verify,omitempty"`
}

type knockEvent struct {
	Event   string `json:"event"` // "knock" or, with --test, "would_knock"
	Step    int    `json:"step"`
	Element string `json:"element"`
	Dst     string `json:"dst"`
}

type finishedEvent struct {
	Event string `json:"event"` // "finished"
	Dst   string `json:"dst"`
	Steps int    `json:"steps"`
}

type verifyEvent struct {
	Event   string  `json:"event"` // "open" or "closed"
	Element string  `json:"element"`
	Dst     string  `json:"dst"`
	After   float64 `json:"after_s"`
}

func (j jsonLines) print(v any) { _ = j.enc.Encode(v) }

func (j jsonLines) begin(event string, k client.Knock) {
	e := startEvent{Event: event, Dst: k.Dst.String(), Steps: len(k.Sequence), Delay: k.Delay.Seconds()}
	if k.Verify != (knock.Element{}) {
		e.Verify = k.Verify.String()
	}
	j.print(e)
}

func (j jsonLines) plan(k client.Knock) {
	j.begin("plan", k)
	for i, e := range k.Sequence {
		j.print(knockEvent{"would_knock", i + 1, e.String(), k.Dst.String()})
	}
}

func (j jsonLines) start(k client.Knock) { j.begin("start", k) }

func (j jsonLines) sent(k client.Knock, step int, e knock.Element) {
	j.print(knockEvent{"knock", step, e.String(), k.Dst.String()})
}

func (j jsonLines) finished(k client.Knock) {
	j.print(finishedEvent{"finished", k.Dst.String(), len(k.Sequence)})
}

func (j jsonLines) open(k client.Knock, after time.Duration) {
	j.print(verifyEvent{"open", k.Verify.String(), k.Dst.String(), after.Seconds()})
}

func (j jsonLines) closed(k client.Knock, after time.Duration) {
	j.print(verifyEvent{"closed", k.Verify.String(), k.Dst.String(), after.Seconds()})
}
