package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"nftknock/pkg/client"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
)

// events writes to standard output what happens to a knock.
type events interface {
	plan(k *client.Knock) // instead of all others
	start(k *client.Knock)
	sent(k *client.Knock, round, step int, p client.Packet) // both count from 1
	finished(k *client.Knock)
	open(k *client.Knock, after time.Duration)
	closed(k *client.Knock, after time.Duration)
}

func printer(o options, w io.Writer) events {
	switch {
	case o.json:
		return newJSONLines(w)
	case o.quiet:
		return text{io.Discard}
	}
	return text{w}
}

// text is for people; its lines are those of the 2004 client.
type text struct{ w io.Writer }

func (t text) line(format string, args ...any) { fmt.Fprintf(t.w, "[+] "+format+"\n", args...) }

func (t text) plan(k *client.Knock) {
	what := "sequence"
	if k.Kind == client.SPA {
		what = "SPA packet"
	}
	t.line("Test mode, nothing is sent. The %s for knock server: %s", what, k.Dst)
	t.sealed(k)
	for i, p := range k.Packets {
		if p.Payload != nil {
			t.line("SPA packet: %s", p.Payload)
		}
		t.sent(k, 1, i+1, p)
	}
	if k.Delay > 0 {
		t.line("with a pause of %s between two knocks", k.Delay)
	}
	if k.Repeat > 1 {
		t.line("%d times in all, with pauses of 150 to 450 ms", k.Repeat)
	}
	if k.Verify != (port.Range{}) {
		t.line("then wait until %s is open", k.Verify)
	}
	if k.Holds > 0 {
		t.line("The knock was made just now and is valid for %d s, unless the server's policy says otherwise", k.Holds/time.Second)
	}
}

// sealed shows an encrypted knock before and after encryption.
func (t text) sealed(k *client.Knock) {
	if k.Kind == client.Encrypted {
		t.line("clear text sequence: %s", decimals(k.Clear))
		t.line("cipher text sequence: %s", decimals(k.Sealed))
	}
}

func decimals(list []byte) string {
	var out []string
	for _, b := range list {
		out = append(out, strconv.Itoa(int(b)))
	}
	return strings.Join(out, " ")
}

func (t text) start(k *client.Knock) {
	if k.Kind == client.SPA {
		t.line("Sending SPA packet to knock server: %s", k.Dst)
		return
	}
	t.sealed(k)
	t.line("Sending port knocking sequence to knock server: %s", k.Dst)
}

func (t text) sent(k *client.Knock, round, step int, p client.Packet) {
	switch {
	case round > 1 && step == 1:
		t.line("and once more (%d of %d)", round, k.Repeat)
	case round > 1:
	case p.To.Protocol == packet.ICMP:
		t.line("icmp echo request -> %s", k.Dst)
	default:
		t.line("%s -> %s", p.To, k.Dst)
	}
}

func (t text) finished(k *client.Knock) {
	if k.Kind == client.SPA {
		t.line("Finished SPA packet.")
		return
	}
	t.line("Finished knock sequence.")
}

func (t text) open(k *client.Knock, after time.Duration) {
	t.line("%s on %s is open, after %s", k.Verify, k.Dst, after.Round(100*time.Microsecond))
}

// closed writes nothing: the error goes to standard error.
func (t text) closed(*client.Knock, time.Duration) {}
