package knock

import (
	"errors"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/spa"
)

// SPA is a single packet authorization: one datagram that holds the whole request.
type SPA struct {
	Key  *spa.Key
	Port uint16 // of UDP
	Terms
}

// Ports returns the one port.
func (s SPA) Ports() []port.Range { return []port.Range{port.Single(packet.UDP, s.Port)} }

func (s SPA) join(e *Engine, r *rule) error {
	if s.Key == nil {
		return errNoKey
	}
	g := e.spa.group(s.Ports())
	g.keys = append(g.keys, spaAccess{r, s})
	return nil
}

// spaAccess is an access with an SPA. Its key is only read, so that engines may
// share it.
type spaAccess struct {
	*rule
	SPA
}

// spaFamily recognises packets that authorize. No knock is ever half-done.
type spaFamily struct {
	engine *Engine
	groups[spaGroup]
	scratch spa.Scratch // memory for AuthenticIn
}

type spaGroup struct{ keys []spaAccess }

func newSPAFamily(e *Engine) *spaFamily { return &spaFamily{engine: e} }

func (f *spaFamily) prepare() { f.register(f.engine, f) }

// take adds the verdict on a packet. If not all keys could be tried, nothing is
// known and there is none.
func (f *spaFamily) take(group int, a *arrival) {
	source, payload := a.packet.Src, a.packet.Payload
	// Length and alphabet come first: most junk costs its sender's budget nothing.
	if !spa.Plausible(payload) {
		return
	}
	keys := f.list[group].keys
	budget := f.engine.work.budget(workSPA, source, a.now)
	out := finding{source: source, step: 1}
	for i := range keys {
		k := &keys[i]
		if out.granted() {
			break
		}
		if !budget.spend(costHMAC + int64(len(payload))) {
			if out.found {
				break
			}
			return
		}
		if k.Key.AuthenticIn(&f.scratch, payload) {
			budget.take(costDecrypt)
			k.open(a, &out)
		}
	}
	if out.found {
		a.add(out.verdict)
		return
	}
	a.add(Verdict{Access: onlyAccess(keys), Source: source, Reason: NoKey, Step: 1})
}

// open reads a packet that the key seems to be for, and adds what the access
// grants of it.
func (k *spaAccess) open(a *arrival, out *finding) {
	m, token, err := k.Key.Open(a.packet.Payload)
	if errors.Is(err, spa.ErrNotForKey) {
		return
	}
	sys := systems{rule: k.rule} // none: no datagram has a fingerprint
	if err != nil {
		out.add(&sys, nil, Malformed)
		return
	}
	req := &Request{
		Allow:   addressee(m.Address, out.source),
		Open:    m.Services,
		User:    m.User,
		Timeout: m.Timeout,
		Clock:   m.Time.Sub(a.time.Truncate(time.Second)), // messages count seconds
		Token:   token,
		Forget:  forget(m.Time),
	}
	reason := Command
	switch {
	case m.Type.NAT():
		reason = NAT
	case m.Type != spa.Command:
		reason = k.refusal(&k.Terms, req, out.source, a.time)
	}
	out.add(&sys, req, reason)
}

func (f *spaFamily) expire(*moment, int) {}
func (f *spaFamily) flush(*moment)       {}
func (f *spaFamily) adopt(family, bool)  {}
func (f *spaFamily) sources() int        { return 0 }
