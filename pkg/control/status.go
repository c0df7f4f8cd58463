package control

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A StatusQuery says what of the status is wanted.
type StatusQuery struct {
	// Brief leaves the grants out, which take time to list when there are many.
	Brief bool
}

// Status is the state of the daemon.
type Status struct {
	// Ready: knocks are heard, and nothing is known that prevents grants.
	Ready    bool        `json:"ready"`
	Problems []Condition `json:"problems"` // what is wrong now, the oldest first
	Since    time.Time   `json:"since"`    // the start of the daemon
	Packets  uint64      `json:"packets"`  // that arrived for knocks since the start
	Lost     uint64      `json:"lost"`     // that the kernel dropped because they came too fast
	Untried  uint64      `json:"untried"`  // knocks that were not tried with all keys
	Grants   int         `json:"grants"`   // that are running; -1 if they were not listed
	Accesses int         `json:"accesses"` // that are enabled
	Owner    string      `json:"owner"`    // "on" if no other process can change the table, or "off"
	Mode     string      `json:"mode"`
	Hide     string      `json:"hide"`  // "drop" or "reject"
	Table    string      `json:"table"` // of family inet
	Group    uint16      `json:"group"` // the first of the NFLOG groups
	Workers  int         `json:"workers"`
	Hidden   []string    `json:"hidden"` // the services that are hidden
	// Interfaces are the names that the policy lists: none for all but lo. Unguarded are
	// those of the host whose packets pass.
	Interfaces []string `json:"interfaces"`
	Unguarded  []string `json:"unguarded"`
	// Store is "open", "not open", or "not needed" by the policy.
	Store string `json:"store"`
	// Policy is "current" if the policy in force is the one that was last read from the
	// files, and "earlier" if that could not be used. PolicySince is when it came into force.
	Policy      string    `json:"policy"`
	PolicySince time.Time `json:"policy_since"`
	// In are the first running grants, up to MaxShown of them.
	In []Grant `json:"in"`
}

// MaxShown is how many grants a Status has. Grants lists more.
const MaxShown = 20

// Status returns the state of the daemon, or an error that wraps ErrNotRunning.
func (c *Client) Status(ctx context.Context, q StatusQuery) (Status, error) {
	return call[Status](ctx, c, http.MethodGet, "/status?"+q.encode())
}

func parseStatusQuery(query url.Values) (StatusQuery, error) {
	return StatusQuery{Brief: query.Get("brief") == "true"}, nil
}

func (q StatusQuery) encode() string {
	return url.Values{"brief": {strconv.FormatBool(q.Brief)}}.Encode()
}
