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

// Reload has the daemon read its policy again. It returns nil when the new policy is in
// force. The error says why the old policy remains in force, or wraps ErrNotRunning.
func (c *Client) Reload(ctx context.Context) error {
	_, err := c.post(ctx, "/reload")
	return err
}

// Revoke has the daemon end grants and connections. The error says what the daemon could not
// do, or wraps ErrNotRunning. On error the result says what the daemon has ended before it.
func (c *Client) Revoke(ctx context.Context, r Revocation) (Revoked, error) {
	a, err := c.post(ctx, "/revoke?"+r.encode())
	if a.Revoked == nil { // a pointer that the answer may lack
		return Revoked{}, err
	}
	return *a.Revoked, err
}

// post sends a request without a body, and decodes the answer. If the daemon has answered
// with an error, post returns both.
func (c *Client) post(ctx context.Context, path string) (answer, error) {
	// HTTP needs a host name. The transport ignores it and dials the socket.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://nftknockd"+path, nil)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, fmt.Errorf("control socket %s: %w", c.path, dialReason(err))
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&a); err != nil {
		return answer{}, fmt.Errorf("control socket %s: cannot parse the daemon's answer (%s): %w", c.path, resp.Status, err)
	}
	switch {
	case a.Error != "":
		return a, errors.New(a.Error)
	case resp.StatusCode != http.StatusOK:
		return answer{}, fmt.Errorf("control socket %s: %s", c.path, resp.Status)
	}
	return a, nil
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
