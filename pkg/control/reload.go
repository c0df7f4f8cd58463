package control

import (
	"context"
	"net/http"
	"net/url"
)

// A Reload says how to read the policy again.
type Reload struct{}

// Reloaded says what has changed with a policy that came into force.
type Reloaded struct {
	// Notes are sentences that the administrator should read.
	Notes []string `json:"notes,omitempty"`
	// Invalid is set beside an error that lists the errors of the policy, one per line, with
	// their places.
	Invalid bool `json:"invalid,omitempty"`
}

// Reload has the daemon read its policy again. It returns when the new policy is in force.
// The error says why the old policy remains in force, or wraps ErrNotRunning.
func (c *Client) Reload(ctx context.Context, r Reload) (Reloaded, error) {
	return call[Reloaded](ctx, c, http.MethodPost, "/reload?"+r.encode())
}

func parseReload(url.Values) (Reload, error) { return Reload{}, nil }

func (r Reload) encode() string { return url.Values{}.Encode() }
