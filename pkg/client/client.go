// Package client sends knocks. It reads what to send (hosts.toml, ~/.fwknoprc, the
// command line), makes packets of it, sends them with the operating system's own
// stack, so that the fingerprint that the server sees is genuine, and can wait until
// the service opens.
//
// It needs no privileges where ping sockets are allowed, and none at all for
// knocks without ICMP. A server never answers a knock: to the client, a knock that
// was lost looks the same as one that arrived.
package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"nftknock/pkg/port"
)

// Packet is one packet of a knock.
type Packet struct {
	// To is the port that it goes to, or port.Echo.
	To port.Range
	// Payload is what a datagram carries; nil for a single zero byte.
	Payload []byte
}

// Knock is everything that one knock sends.
type Knock struct {
	Kind    Kind
	Dst     netip.Addr // the knock server; IPv4 is never mapped into IPv6
	Packets []Packet
	// Loose is set if the packets may arrive in any order, so that the sender need
	// not wait for an answer to one before it sends the next. They are sent from one
	// source port, by which the server distinguishes clients behind one address.
	Loose bool
	// Delay is the pause between two packets. A TCP packet of a knock that is not
	// loose additionally takes up to AnswerWait.
	Delay time.Duration
	// Repeat is how many times all packets are sent, the same ones each time.
	Repeat int
	// Clear and Sealed are the bytes of an encrypted knock before and after
	// encryption; nil for others.
	Clear, Sealed []byte
	// Holds is how long after it was made the server accepts the knock, unless
	// its policy says otherwise; 0 if for ever or not known.
	Holds time.Duration
	// Verify is the TCP port that should be open after the knock; the zero
	// Range if none is set.
	Verify port.Range
}

// A Transmitter sends one packet of a knock, as Sender does.
type Transmitter interface {
	Send(ctx context.Context, p Packet) error
}

// The pause before a knock is repeated. It is random, so that two clients that
// began at the same time do not stay in step.
const (
	minRepeatPause = 150 * time.Millisecond
	maxRepeatPause = 450 * time.Millisecond
)

// Send sends the packets in order, Repeat times, and calls sent after each packet, with
// round and step counted from 1. It stops when a packet cannot be sent or ctx ends.
func (k *Knock) Send(ctx context.Context, t Transmitter, sent func(round, step int, p Packet)) error {
	for round := 1; round <= k.Repeat; round++ {
		if round > 1 {
			pause(ctx, minRepeatPause+rand.N(maxRepeatPause-minRepeatPause))
		}
		for i, p := range k.Packets {
			if i > 0 {
				pause(ctx, k.Delay)
			}
			err := ctx.Err() // pause returns early when ctx ends
			if err == nil {
				err = t.Send(ctx, p)
			}
			switch {
			case ctx.Err() != nil:
				return fmt.Errorf("interrupted after %d of %d packets", (round-1)*len(k.Packets)+i, k.Repeat*len(k.Packets))
			case err != nil:
				return fmt.Errorf("packet %d of %d was not sent: %w", i+1, len(k.Packets), err)
			}
			sent(round, i+1, p)
		}
	}
	return nil
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
