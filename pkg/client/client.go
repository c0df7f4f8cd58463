// Package client sends knocks: it finds out what to send (hosts.toml,
// ~/.fwknoprc, the command line), sends it with the operating system's own
// stack, so that the fingerprint the server sees is genuine, and can wait
// until the service opens.
//
// It needs no privileges where ping sockets are allowed, and none at all for
// sequences without ICMP. What it sends is fire and forget: a knock that a
// network loses looks, from here, like one that arrived.
package client

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"nftknock/pkg/knock"
)

// Knock is everything that one knock needs.
type Knock struct {
	Dst      netip.Addr // the knock server; IPv4 is never mapped into IPv6
	Sequence []knock.Element
	// Delay is the pause between two elements. A TCP element takes up to
	// AnswerWait of its own.
	Delay time.Duration
	// Verify is the TCP port that should be open after the knock; the zero
	// Element if none was named.
	Verify knock.Element
	// Origin says where the sequence comes from: FILE:LINE or "command line".
	Origin string
}

// A Transmitter sends one element of a sequence; a Sender is one. Send may
// be called concurrently.
type Transmitter interface {
	Send(ctx context.Context, e knock.Element) error
}

// Send sends the elements in their order and calls sent after each, counted
// from 1. It stops at the first that cannot be sent and when ctx ends.
func (k *Knock) Send(ctx context.Context, t Transmitter, sent func(step int, e knock.Element)) error {
	for i, e := range k.Sequence {
		if i > 0 {
			pause(ctx, k.Delay)
		}
		err := ctx.Err()
		if err == nil {
			err = t.Send(ctx, e)
		}
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("interrupted after %d of %d knocks", i, len(k.Sequence))
		case err != nil:
			return fmt.Errorf("knock %d of %d was not sent: %w", i+1, len(k.Sequence), err)
		}
		sent(i+1, e)
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
