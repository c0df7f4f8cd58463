package doctor

import (
	"slices"

	"nftknock/pkg/gate"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// A Policy is what of a policy matters here.
type Policy struct {
	Table      string // the name of our table of family inet
	Mode       policy.Mode
	Hide       policy.Hide
	Interfaces []string     // as in policy.NFTables
	Services   []port.Range // what grants open
	Hidden     []port.Range // what is hidden: Services, and what nothing opens now; nil if only Services
	Knocks     []port.Range // where the packets of knocks go
	// Quiet are those of Knocks on which no service of the host should listen. A knock that
	// is told by its payload, or takes thousands of ports, does not mind.
	Quiet []port.Range
	// Timed are the names of the accesses whose knocks hold a time.
	Timed         []string
	Group         uint16
	Workers       int
	ControlSocket string // empty for none
	// Mark and Members: see Way. They are empty in the mode gate.
	Mark    uint32
	Members []string
	// No4 and No6: nothing can be granted over the version, because it has no set.
	No4, No6 bool
}

// byFirewall reports whether grants take effect by the host's own rules, which then hide
// the services.
func (p Policy) byFirewall() bool { return p.Mode == policy.ModeSet || p.Mode == policy.ModeMark }

// hidden is Hidden, or Services if that is not set.
func (p Policy) hidden() []port.Range {
	if p.Hidden == nil {
		return p.Services
	}
	return p.Hidden
}

// FromPolicy returns what matters of a policy, which may have been read without its keys.
func FromPolicy(p *policy.Policy) Policy {
	d := Policy{
		Table: p.NFTables.Table, Mode: p.NFTables.Mode, Hide: p.NFTables.Hide, Interfaces: p.NFTables.Interfaces,
		Group: p.NFLog.Group, Workers: p.NFLog.Workers, ControlSocket: p.Control.Socket,
	}
	d.byGate(p.NFTables)
	for i := range p.Accesses {
		a := &p.Accesses[i]
		if !a.Enabled {
			continue
		}
		d.Services = append(d.Services, a.Open...)
		d.Knocks = append(d.Knocks, a.KnockPorts()...)
		if siv := a.Kind == policy.KindEncrypted && a.Encoding == policy.EncodingSIV; !siv && !a.ByPayload() {
			d.Quiet = append(d.Quiet, a.KnockPorts()...)
		}
		if slices.Contains(a.Sequence, port.Echo) {
			d.Knocks = append(d.Knocks, port.Echo)
		}
		if a.Kind == policy.KindTOTP || a.Kind == policy.KindSPA || a.Kind == policy.KindEncrypted && a.Encoding == policy.EncodingSIV {
			d.Timed = append(d.Timed, a.Name)
		}
	}
	d.Services, d.Hidden, d.Knocks = port.Normal(d.Services), port.Normal(p.Hidden()), port.Normal(d.Knocks)
	return d
}

// byGate adds what grants change in packets.
func (p *Policy) byGate(t policy.NFTables) {
	switch t.Mode {
	case policy.ModeMark:
		p.Mark = t.Mark
	case policy.ModeSet:
		p.No4, p.No6 = t.Set4 == (gate.SetName{}), t.Set6 == (gate.SetName{})
		for _, s := range []gate.SetName{t.Set4, t.Set6} {
			if s != (gate.SetName{}) {
				p.Members = append(p.Members, s.String())
			}
		}
	}
}
