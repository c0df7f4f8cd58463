package control

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// A Grantee says whom to let in by hand, and where.
type Grantee struct {
	Source netip.Prefix // an address, or a prefix
	// What is a service, such as "tcp/22", or the name of an access, for all that it opens.
	What string
	// For is how long: MinFor to MaxFor, or 0 for the timeout of the access.
	For time.Duration
}

// Bounds of Grantee.For.
const (
	MinFor = time.Second
	MaxFor = 24 * time.Hour
)

// Granted says what was granted. Of a Grant it has what the grant was made with.
type Granted struct {
	Grants []Grant `json:"grants"`
}

// Grant has the daemon let a source in without a knock. The error says why it does not, or
// wraps ErrNotRunning. On error the result says what it has granted before it.
func (c *Client) Grant(ctx context.Context, g Grantee) (Granted, error) {
	return call[Granted](ctx, c, http.MethodPost, "/grant?"+g.encode())
}

func parseGrantee(query url.Values) (g Grantee, err error) {
	if g.Source, err = ParseSource(query.Get("source")); err != nil {
		return g, err
	}
	if g.What = query.Get("what"); g.What == "" {
		return g, fmt.Errorf("no service and no access: want one such as tcp/22, or the name of an access")
	}
	if s := query.Get("for"); s != "" {
		if g.For, err = time.ParseDuration(s); err != nil || g.For < MinFor || g.For > MaxFor {
			return g, fmt.Errorf("bad time %q: want %v to 24h, such as 30s", s, MinFor)
		}
	}
	return g, nil
}

func (g Grantee) encode() string {
	v := url.Values{"source": {g.Source.String()}, "what": {g.What}}
	if g.For != 0 {
		v.Set("for", g.For.String())
	}
	return v.Encode()
}
