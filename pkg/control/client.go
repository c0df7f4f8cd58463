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

// maxAnswer bounds what a client reads; the errors of a policy are long.
const maxAnswer = 1 << 20

// Client asks the daemon that listens at a path. It may be used by several
// goroutines.
type Client struct {
	path string
	http http.Client
}

// NewClient makes a client. It does not connect yet.
func NewClient(path string) *Client {
	c := &Client{path: path}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", path)
		},
	}
	return c
}

// Reload makes the daemon read its policy again, and returns when it has done
// so. The error says why the daemon keeps its old policy, or wraps ErrNotRunning.
func (c *Client) Reload(ctx context.Context) error {
	_, err := c.post(ctx, "/reload")
	return err
}

// Revoke makes the daemon end grants. The error says what it could not do, or
// wraps ErrNotRunning.
func (c *Client) Revoke(ctx context.Context, r Revocation) (Revoked, error) {
	a, err := c.post(ctx, "/revoke?"+r.encode())
	if err != nil || a.Revoked == nil {
		return Revoked{}, err
	}
	return *a.Revoked, nil
}

func (c *Client) post(ctx context.Context, path string) (answer, error) {
	// The transport ignores the host of the URL.
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
		return answer{}, fmt.Errorf("control socket %s: cannot read the daemon's answer (%s): %w", c.path, resp.Status, err)
	}
	switch {
	case a.Error != "":
		return answer{}, errors.New(a.Error)
	case resp.StatusCode != http.StatusOK:
		return answer{}, fmt.Errorf("control socket %s: %s", c.path, resp.Status)
	}
	return a, nil
}

// dialReason gives the reason for a failed connection.
func dialReason(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return ErrNotRunning
	case errors.Is(err, fs.ErrPermission):
		return errors.New("permission denied: run this as the user of the daemon, usually root")
	}
	return err
}
