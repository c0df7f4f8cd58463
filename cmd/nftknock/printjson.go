package main

import (
	"encoding/json"
	"io"
	"time"

	"nftknock/pkg/client"
	"nftknock/pkg/port"
)

// jsonLines is for programs.
type jsonLines struct{ enc *json.Encoder }

func newJSONLines(w io.Writer) jsonLines {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return jsonLines{enc}
}

type startEvent struct {
	Event  string      `json:"event"` // "start" or, with --test, "plan"
	Dst    string      `json:"dst"`
	Knock  client.Kind `json:"knock"`
	Steps  int         `json:"steps"`
	Delay  float64     `json:"delay_s"`
	Repeat int         `json:"repeat"`
	Verify string      `json:"verify,omitempty"`
}

type knockEvent struct {
	Event   string `json:"event"` // "knock" or, with --test, "would_knock"
	Step    int    `json:"step"`
	Element string `json:"element"`
	Dst     string `json:"dst"`
	// Payload is that of SPA, with --test alone.
	Payload string `json:"payload,omitempty"`
}

type repeatEvent struct {
	Event string `json:"event"` // "repeat"
	Dst   string `json:"dst"`
	Round int    `json:"round"` // from 2 on
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

func (j jsonLines) begin(event string, k *client.Knock) {
	e := startEvent{
		Event: event, Dst: k.Dst.String(), Knock: k.Kind, Steps: len(k.Packets),
		Delay: k.Delay.Seconds(), Repeat: k.Repeat,
	}
	if k.Verify != (port.Range{}) {
		e.Verify = k.Verify.String()
	}
	j.print(e)
}

func (j jsonLines) plan(k *client.Knock) {
	j.begin("plan", k)
	for i, p := range k.Packets {
		j.print(knockEvent{"would_knock", i + 1, p.To.String(), k.Dst.String(), string(p.Payload)})
	}
}

func (j jsonLines) start(k *client.Knock) { j.begin("start", k) }

// sent writes one event per packet, and one per repetition of all packets.
func (j jsonLines) sent(k *client.Knock, round, step int, p client.Packet) {
	switch {
	case round == 1:
		j.print(knockEvent{Event: "knock", Step: step, Element: p.To.String(), Dst: k.Dst.String()})
	case step == len(k.Packets):
		j.print(repeatEvent{"repeat", k.Dst.String(), round})
	}
}

func (j jsonLines) finished(k *client.Knock) {
	j.print(finishedEvent{"finished", k.Dst.String(), len(k.Packets)})
}

func (j jsonLines) open(k *client.Knock, after time.Duration) {
	j.print(verifyEvent{"open", k.Verify.String(), k.Dst.String(), after.Seconds()})
}

func (j jsonLines) closed(k *client.Knock, after time.Duration) {
	j.print(verifyEvent{"closed", k.Verify.String(), k.Dst.String(), after.Seconds()})
}
