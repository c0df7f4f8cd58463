package knock

import (
	"net/netip"
	"slices"
	"time"

	"nftknock/pkg/port"
)

// A Request is what an authenticated knock asks for.
type Request struct {
	// Allow is the address to let in.
	Allow netip.Addr
	// Open is what to open; nil for all that the access opens.
	Open []port.Range
	// NAT: asks for the one port of Open to lead to Forward, which is zero if the knock
	// names its host by a name.
	NAT     bool
	Forward port.Target
	User    string
	// Timeout is how long the grant shall last, 0 for as long as the access says.
	Timeout time.Duration
	// Clock is how far the sender's clock is ahead of ours by the time in the
	// knock; 0 if it holds no time.
	Clock time.Duration

	// Token distinguishes this knock from all others: one that was spent must
	// not be granted again. Those of refused knocks are spent too, or else
	// whoever saw one could send it again where it is not refused.
	Token [32]byte
	// Forget is when Token can be forgotten, since a knock of its time is too
	// old then; zero for never.
	Forget time.Time
}

// MaxWindow bounds the windows of all accesses, and so how long a token with a
// time must be remembered, whatever the window of its access is or will be.
const MaxWindow = time.Hour

// forget returns when a token of a time can be forgotten. The second more is for
// messages, which count whole seconds.
func forget(token time.Time) time.Time { return token.Add(MaxWindow + time.Second) }

// Terms are what the sender of an authenticated knock may ask for.
type Terms struct {
	// Open is what the access opens.
	Open []port.Range
	// Targets are where a port may lead that the sender asks to be forwarded, and Dial
	// those ports.
	Targets []port.Targets
	Dial    []port.Range
	// Users are those who may knock; nil stands for everyone who has the key.
	Users []string
	// AllowOther permits the sender to name another address than its own.
	AllowOther bool
	// Window is how far the sender's clock may be from ours, either way, at
	// most MaxWindow. It has no effect where knocks hold no time.
	Window time.Duration
}

// refusal returns the reason why an access does not grant an authenticated request of
// a source, or None. The Clock of a request that holds no time is 0, and so within
// every window.
func (r *rule) refusal(t *Terms, req *Request, source netip.Addr, at time.Time) Reason {
	switch {
	case r.expired(at):
		return Expired
	case !r.admits(source):
		return WrongSource
	case req.Clock < -t.Window:
		return TooOld
	case req.Clock > t.Window:
		return TooNew
	// An empty list, unlike nil, stands for nobody.
	case t.Users != nil && !slices.Contains(t.Users, req.User):
		return WrongUser
	case req.Allow != source && (!t.AllowOther || !isHost(req.Allow)):
		return OtherAddress
	case req.NAT:
		if !t.forwards(req) {
			return NAT
		}
	case slices.ContainsFunc(req.Open, func(r port.Range) bool { return !t.opens(r) }):
		return NotOpen
	}
	return None
}

// opens reports whether a port is among those the access opens.
func (t *Terms) opens(r port.Range) bool {
	return slices.ContainsFunc(t.Open, func(s port.Range) bool { return s.Covers(r) })
}

// forwards reports whether a port may lead where a request wants it to.
func (t *Terms) forwards(req *Request) bool {
	to := req.Forward
	return len(req.Open) == 1 && slices.ContainsFunc(t.Dial, func(s port.Range) bool { return s.Covers(req.Open[0]) }) &&
		(to.Local() || to.Addr.Is4() == req.Allow.Is4()) && slices.ContainsFunc(t.Targets, func(s port.Targets) bool { return s.Has(to) })
}

// isHost reports whether packets can come from an address.
func isHost(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback()
}

// addressee returns the address that a token names, or its source where it names
// none.
func addressee(named, source netip.Addr) netip.Addr {
	if !named.IsValid() {
		return source
	}
	return named.Unmap()
}
