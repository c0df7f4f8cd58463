package control

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// A Reload says how to read the policy again.
type Reload struct {
	// Guard, unless 0, puts the policy on trial: after this time the daemon goes back to the
	// last confirmed policy, unless a knock is granted or the policy is confirmed before. It is
	// between MinGuard and MaxGuard. With 0, a guard that is running stays as it is.
	Guard time.Duration
}

// The bounds of a guard. An administrator needs a second to knock, and would forget after an
// hour that a policy is on trial.
const (
	MinGuard = time.Second
	MaxGuard = time.Hour
)

// CheckGuard returns an error for a guard that is too short or too long.
func CheckGuard(guard time.Duration) error {
	if guard < MinGuard || guard > MaxGuard {
		return fmt.Errorf("bad guard %v: want 1s to 1h", guard)
	}
	return nil
}

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

// parseReload parses the form that encode writes.
func parseReload(query url.Values) (Reload, error) {
	if !query.Has("guard") {
		return Reload{}, nil
	}
	guard, err := time.ParseDuration(query.Get("guard"))
	if err == nil {
		err = CheckGuard(guard)
	}
	if err != nil {
		return Reload{}, err
	}
	return Reload{Guard: guard}, nil
}

func (r Reload) encode() string {
	query := url.Values{}
	if r.Guard != 0 {
		query.Set("guard", r.Guard.String())
	}
	return query.Encode()
}
