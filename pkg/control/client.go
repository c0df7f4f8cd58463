package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
)

// ErrNotRunning means that no process listens on the socket.
var ErrNotRunning = errors.New("the daemon is not running, or uses another control socket")

// maxAnswer is how many bytes of an answer a client reads. The errors of a policy may be long.
const maxAnswer = 1 << 20

// Client sends requests to the daemon that listens on a socket. It may be used by several
// goroutines. Its methods block until the daemon has answered or ctx is done.
type Client struct {
	path string
	http http.Client
}

// NewClient makes a client for the socket at path. It does not connect.
func NewClient(path string) *Client {
	c := &Client{path: path}
	c.http.Transport = &http.Transport{
		// Otherwise the connection, of which the daemon takes only a few, would stay open
		// after the answer.
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}
	return c
}

// call sends a request without a body, and decodes the answer. If the daemon has answered
// with an error, call returns both.
func call[T any](ctx context.Context, c *Client, method, path string) (T, error) {
	return callUpTo[T](ctx, c, maxAnswer, requestLine{method, path})
}

// requestLine is the method of a request, and its path with the query.
type requestLine struct{ method, path string }

// callUpTo is call for answers of up to a number of bytes.
func callUpTo[T any](ctx context.Context, c *Client, limit int64, r requestLine) (T, error) {
	var a answer[T]
	// HTTP needs a host name. The transport ignores it and dials the socket.
	req, err := http.NewRequestWithContext(ctx, r.method, "http://nftknockd"+r.path, nil)
	if err != nil {
		return a.Result, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return a.Result, fmt.Errorf("control socket %s: %w", c.path, dialReason(err))
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(io.LimitReader(resp.Body, limit)).Decode(&a); err != nil {
		var none T
		return none, fmt.Errorf("control socket %s: cannot parse the daemon's answer (%s): %w", c.path, resp.Status, err)
	}
	switch {
	case a.Error != "":
		return a.Result, errors.New(a.Error)
	case resp.StatusCode != http.StatusOK:
		return a.Result, fmt.Errorf("control socket %s: %s", c.path, resp.Status)
	}
	return a.Result, nil
}

// dialReason translates the error of a connection that failed.
func dialReason(err error) error {
	switch {
	// ECONNREFUSED is what connect(2) gives for a socket file that a killed daemon left.
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return ErrNotRunning
	case errors.Is(err, fs.ErrPermission):
		return errors.New("permission denied: run this as the user of the daemon, usually root")
	}
	return err
}
