package control

import (
	"context"
	"net/http"
	"net/url"
)

// A Confirmation ends the guard of a policy on trial: the policy stays.
type Confirmation struct{}

// Confirmed says what a Confirmation has done.
type Confirmed struct {
	// Before says who had confirmed the policy already; empty if this Confirmation did.
	Before string `json:"before,omitempty"`
}

// Confirm has the daemon keep the policy that is on trial. The error says why there is nothing
// to confirm, or wraps ErrNotRunning.
func (c *Client) Confirm(ctx context.Context, r Confirmation) (Confirmed, error) {
	return call[Confirmed](ctx, c, http.MethodPost, "/confirm?"+r.encode())
}

func parseConfirmation(url.Values) (Confirmation, error) { return Confirmation{}, nil }

func (r Confirmation) encode() string { return url.Values{}.Encode() }
