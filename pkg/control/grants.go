package control

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
)

// A GrantQuery says which grants to list.
type GrantQuery struct {
	Within netip.Prefix // those of sources that share an address with this prefix; the zero prefix for all
}

// A Grant is a running grant: Src may reach the service Open.
type Grant struct {
	// Src is an address, or the first one of the prefix. Prefix is empty for an address.
	Src    string `json:"src"`
	Prefix string `json:"prefix"`
	Open   string `json:"open"`
	Access string `json:"access"` // empty for a grant that another program made
	// Knock is the kind of knock, ByHand, or empty if the table does not say.
	Knock string `json:"knock"`
	// OS is empty: the table does not say which system the sender of the knock had.
	OS        string  `json:"os"`
	Remaining float64 `json:"remaining_s"`
	Packets   uint64  `json:"packets"` // that opened connections
	Bytes     uint64  `json:"bytes"`
	SingleUse bool    `json:"single_use,omitempty"`
	// Forward is where the grant leads instead of to this host, empty for this host.
	Forward    string `json:"forward,omitempty"`
	Masquerade bool   `json:"masquerade,omitempty"`
}

// ByHand stands in the place of a kind of knock where the command "grant" made a grant.
const ByHand = "by-hand"

// Grants are running grants.
type Grants struct {
	Grants []Grant `json:"grants"` // ordered by source, up to MaxListed of them
	Total  int     `json:"total"`
}

// MaxListed is how many grants one answer has.
const MaxListed = 20000

// maxListing is how many bytes of an answer with grants a client reads: twice what
// MaxListed of them take with the longest names.
const maxListing = 16 << 20

// Grants lists the running grants. The error wraps ErrNotRunning if no daemon answers.
func (c *Client) Grants(ctx context.Context, q GrantQuery) (Grants, error) {
	return callUpTo[Grants](ctx, c, maxListing, requestLine{http.MethodGet, "/grants?" + q.encode()})
}

func parseGrantQuery(query url.Values) (q GrantQuery, err error) {
	if s := query.Get("within"); s != "" {
		q.Within, err = ParseSource(s)
	}
	return q, err
}

func (q GrantQuery) encode() string {
	v := url.Values{}
	if q.Within.IsValid() {
		v.Set("within", q.Within.String())
	}
	return v.Encode()
}
