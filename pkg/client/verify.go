package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"
)

// ErrClosed: the port did not open in time.
var ErrClosed = errors.New("port did not open")

const (
	// firstTry is how long the first attempt to connect may take; each further one
	// may take twice as long, so that a first SYN that came before the grant costs
	// little time and a connection with a long round trip still succeeds.
	firstTry = 100 * time.Millisecond
	// retryPause is the shortest time from the beginning of one attempt to the next,
	// for ports that refuse at once.
	retryPause = 100 * time.Millisecond
)

// dial is a function that connects and closes, as dialTCP.
type dial func(ctx context.Context, addr netip.AddrPort) error

// Verify tries to connect to a TCP port until it succeeds, and returns how long that took.
// It returns ErrClosed after timeout, or the error of ctx if that ends before. It sends no
// data.
func Verify(ctx context.Context, addr netip.AddrPort, timeout time.Duration) (time.Duration, error) {
	return verify(ctx, addr, timeout, dialTCP)
}

func dialTCP(ctx context.Context, addr netip.AddrPort) error {
	var d net.Dialer
	d.SetMultipathTCP(false) // as in sendSYN: no additional option in the SYN
	conn, err := d.DialContext(ctx, "tcp", addr.String())
	if err != nil {
		return err
	}
	return conn.Close()
}

func verify(parent context.Context, addr netip.AddrPort, timeout time.Duration, d dial) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(parent, timeout)
	defer cancel()
	start := time.Now()
	for try := firstTry; ctx.Err() == nil; try *= 2 {
		began := time.Now()
		if attempt(ctx, addr, try, d) == nil {
			return time.Since(start), nil
		}
		pause(ctx, retryPause-time.Since(began))
	}
	if parent.Err() != nil {
		return 0, parent.Err()
	}
	return 0, ErrClosed
}

func attempt(ctx context.Context, addr netip.AddrPort, limit time.Duration, d dial) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return d(ctx, addr)
}
