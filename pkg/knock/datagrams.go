package knock

import (
	"errors"
	"time"

	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/spa"
)

// SPA is a single packet authorization: one datagram that says it all.
type SPA struct {
	Key  *spa.Key
	Port uint16 // of UDP
	Terms
}

// Ports are the one port.
func (s SPA) Ports() []port.Range { return []port.Range{port.Single(packet.UDP, s.Port)} }

func (s SPA) join(e *Engine, r *rule) error {
	e.spa.add(datagram{r, s})
	return nil
}

// datagram is the knock of an access as the hot path wants it.
type datagram struct {
	*rule
	SPA
}

// datagrams watches for packets that authorize. Nothing is half-done.
type datagrams struct {
	engine *Engine
	layouts
	groups  [][]datagram // one a layout
	scratch spa.Scratch
}

func newDatagrams(e *Engine) *datagrams {
	return &datagrams{engine: e}
}

func (d *datagrams) prepare() { d.listen(d.engine, d) }

func (d *datagrams) add(k datagram) {
	i := d.group(k.Ports())
	if i == len(d.groups) {
		d.groups = append(d.groups, nil)
	}
	d.groups[i] = append(d.groups[i], k)
}

func (d *datagrams) take(group int, _ port.Range, p *packet.Packet, now int64) {
	if !spa.Plausible(p.Payload) {
		return
	}
	keys := d.groups[group]
	d.engine.work.charge(workDatagram, p.Src, now)
	out := finding{engine: d.engine}
	for i := range keys {
		k := &keys[i]
		if out.granted() {
			break
		}
		if !d.engine.spend(costHMAC + int64(len(p.Payload))) {
			if out.any {
				break
			}
			return // not all keys were tried, so nothing is known
		}
		if k.Key.AuthenticIn(&d.scratch, p.Payload) {
			d.open(k, p, &out)
		}
	}
	if out.any {
		out.say()
		return
	}
	d.engine.say(Verdict{Access: sole(keys), Source: p.Src, Reason: NoKey, Step: 1})
}

// open reads a packet that a key seems to be for, and judges it.
func (d *datagrams) open(k *datagram, p *packet.Packet, out *finding) {
	d.engine.work.take(costDecrypt)
	m, token, err := k.Key.Open(p.Payload)
	if errors.Is(err, spa.ErrNotForKey) {
		return
	}
	sys := systems{rule: k.rule}
	if err != nil {
		out.add(&sys, p.Src, 1, nil, Malformed)
		return
	}
	req := &Request{
		Allow:   addressee(m.Address, p.Src),
		User:    m.User,
		Timeout: m.Timeout,
		Clock:   m.Time.Sub(d.engine.at.Truncate(time.Second)),
		Token:   token,
		Forget:  forget(m.Time),
	}
	req.Open = m.Services
	reason := Command
	switch {
	case m.Type.NAT():
		reason = NAT
	case m.Type != spa.Command:
		reason = k.judge(&k.Terms, req, p.Src, d.engine.at, true)
	}
	out.add(&sys, p.Src, 1, req, reason)
}

func (d *datagrams) expire(int64, int)  {}
func (d *datagrams) flush()             {}
func (d *datagrams) adopt(family, bool) {}
func (d *datagrams) sources() int       { return 0 }
