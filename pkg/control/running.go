package control

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// A PolicyQuery asks what policy is in force.
type PolicyQuery struct{}

// Running tells whether a policy is the one in force, without a key or sequence of that one.
type Running struct {
	Print json.RawMessage `json:"print"` // a plan.Print
}

// Running returns the print of the policy in force. The error wraps ErrNotRunning if no daemon
// answers.
func (c *Client) Running(ctx context.Context) (Running, error) {
	// As long as a policy with the most accesses.
	return callUpTo[Running](ctx, c, maxListing, requestLine{http.MethodGet, "/policy"})
}

func parsePolicyQuery(url.Values) (PolicyQuery, error) { return PolicyQuery{}, nil }
