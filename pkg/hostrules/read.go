package hostrules

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Bounds of what is read. Beyond maxRules Read fails: a ruleset of which a part is missing
// would seem to let packets pass. A set with more elements is kept in part, and what is
// not in that part is unknown.
const (
	maxRules    = 1 << 18
	maxElements = 1 << 16
	maxPerRead  = 1 << 20 // elements of all sets
)

// header is the size of struct nfgenmsg (linux/netfilter/nfnetlink.h).
const header = 4

// maxTries bounds how often Read begins again because the ruleset changed meanwhile.
const maxTries = 5

var errChanged = errors.New("the ruleset changes all the time")

// Read reads all tables in the network namespace of the calling thread. It needs
// CAP_NET_ADMIN; without it the error wraps fs.ErrPermission. What it returns is one
// state of the ruleset. It stops when ctx is done.
func Read(ctx context.Context) (*Ruleset, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open a socket to read the ruleset: %w", err)
	}
	defer c.Close()
	// The deadline of the past ends a read that ctx interrupts.
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	for range maxTries {
		r := reader{conn: c}
		rules, err := r.all()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(err, errChanged):
		case errors.Is(err, unix.EPERM):
			return nil, fmt.Errorf("read the ruleset: %w", fs.ErrPermission)
		case err != nil:
			return nil, fmt.Errorf("read the ruleset: %w", err)
		default:
			return rules, nil
		}
	}
	return nil, errChanged
}

// A reader reads the ruleset once.
type reader struct {
	conn     *netlink.Conn
	rules    Ruleset
	numRules int
	elements int
}

func (r *reader) all() (*Ruleset, error) {
	before, err := r.generation()
	if err != nil {
		return nil, err
	}
	steps := []struct {
		message uint16
		add     func(Family, attrs) error
	}{{msgTable, r.addTable}, {msgChain, r.addChain}, {msgSet, r.addSet}, {msgRule, r.addRule}}
	for _, s := range steps {
		if err := r.dump(s.message, nil, s.add); err != nil {
			// An object that another one names may be gone.
			if errors.Is(err, unix.ENOENT) {
				return nil, errChanged
			}
			return nil, err
		}
	}
	for _, t := range r.rules.Tables {
		for _, s := range t.sets {
			if err := r.readElements(s); err != nil {
				return nil, err
			}
			s.finish()
		}
	}
	after, err := r.generation()
	if err == nil && after != before {
		err = errChanged
	}
	return &r.rules, err
}

// dump asks for all objects of a kind, and calls add with each.
func (r *reader) dump(message uint16, of *set, add func(Family, attrs) error) error {
	m := netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | message),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: []byte{unix.NFPROTO_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	}
	if of != nil {
		m.Data[0] = byte(of.table.Family)
		ae := netlink.NewAttributeEncoder()
		ae.String(listTable, of.table.Name)
		ae.String(listSet, of.name)
		b, err := ae.Encode()
		if err != nil {
			return err
		}
		m.Data = append(m.Data, b...)
	}
	replies, err := r.conn.Execute(m)
	if err != nil {
		return err
	}
	for _, reply := range replies {
		f, a, err := parseMessage(reply.Data)
		if err == nil {
			err = add(f, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseMessage parses the body of a message of nf_tables.
func parseMessage(b []byte) (Family, attrs, error) {
	if len(b) < header {
		return 0, nil, errors.New("the kernel's message is too short")
	}
	a, err := parseAttrs(b[header:])
	return Family(b[0]), a, err
}

// generation returns the number that the kernel changes with each transaction.
func (r *reader) generation() (uint32, error) {
	replies, err := r.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | msgGen, Flags: netlink.Request},
		Data:   []byte{unix.NFPROTO_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		return 0, err
	}
	for _, reply := range replies {
		if _, a, err := parseMessage(reply.Data); err == nil {
			return a.u32(1), nil // NFTA_GEN_ID
		}
	}
	return 0, errors.New("the kernel does not say the generation of the ruleset")
}

func (r *reader) addTable(f Family, a attrs) error {
	r.rules.Tables = append(r.rules.Tables, &Table{
		Family: f, Name: a.text(tableName),
		Owned: a.u32(tableFlags)&tableFlagOwner != 0,
		sets:  make(map[string]*set),
	})
	return nil
}

func (r *reader) addChain(f Family, a attrs) error {
	t := r.rules.Table(f, a.text(chainTable))
	if t == nil {
		return errChanged
	}
	c := &Chain{Table: t, Name: a.text(chainName), Type: a.text(chainType)}
	if a.has(chainHook) {
		h, err := a.nested(chainHook)
		if err != nil {
			return err
		}
		c.Hook, c.Priority = hookOf(f, h.u32(hookNumber)), int32(h.u32(hookPriority))
		if c.Devices, err = devicesOf(h); err != nil {
			return err
		}
		c.Drops = a.has(chainPolicy) && a.u32(chainPolicy) == codeDrop
	}
	t.Chains = append(t.Chains, c)
	return nil
}

// hookOf translates the number of a hook (nf_inet_hooks and nf_dev_hooks,
// linux/netfilter.h).
func hookOf(f Family, number uint32) Hook {
	hooks := []Hook{Prerouting, Input, Forward, Output, Postrouting, Ingress}
	switch f {
	case FamilyNetDev:
		hooks = []Hook{Ingress, Egress}
	case FamilyARP: // NF_ARP_IN, _OUT, _FORWARD: no packets of IP
		return NoHook
	}
	if number < uint32(len(hooks)) {
		return hooks[number]
	}
	return NoHook
}

func devicesOf(h attrs) ([]string, error) {
	var list []string
	if h.has(hookDevice) {
		list = append(list, h.text(hookDevice))
	}
	err := eachAttr(h[hookDevices], func(_ uint16, name []byte) error {
		list = append(list, attrs{0: name}.text(0))
		return nil
	})
	return list, err
}

func (r *reader) addSet(f Family, a attrs) error {
	t := r.rules.Table(f, a.text(setTable))
	if t == nil {
		return errChanged
	}
	s := &set{table: t, name: a.text(setName)}
	s.anonymous = a.u32(setFlags)&setAnonymous != 0
	s.interval = a.u32(setFlags)&setInterval != 0
	desc, err := a.nested(setDesc)
	if err != nil {
		return err
	}
	err = eachAttr(desc[descConcat], func(_ uint16, b []byte) error {
		field, err := parseAttrs(b)
		s.fields = append(s.fields, int(field.u32(fieldLen)))
		return err
	})
	t.sets[s.name] = s
	return err
}

func (r *reader) addRule(f Family, a attrs) error {
	if r.numRules++; r.numRules > maxRules {
		return fmt.Errorf("more than %d rules", maxRules)
	}
	t := r.rules.Table(f, a.text(ruleTable))
	if t == nil {
		return errChanged
	}
	c := t.chain(a.text(ruleChain))
	if c == nil {
		return errChanged
	}
	exprs, err := parseExprs(a[ruleExpressions])
	if err != nil {
		return err
	}
	rule := &Rule{Chain: c, exprs: exprs}
	if b := a[ruleHandle]; len(b) == 8 {
		rule.Handle = binary.BigEndian.Uint64(b)
	}
	c.Rules = append(c.Rules, rule)
	return nil
}

func (r *reader) readElements(s *set) error {
	err := r.dump(msgElement, s, func(_ Family, a attrs) error {
		return eachAttr(a[listElements], func(_ uint16, b []byte) error {
			if len(s.elements) == maxElements || r.elements == maxPerRead {
				s.partial = true
				return nil
			}
			e, err := parseElement(b)
			if err != nil {
				return fmt.Errorf("elements of %s %s: %w", s.table, s.name, err)
			}
			s.elements = append(s.elements, e)
			r.elements++
			return nil
		})
	})
	if errors.Is(err, unix.ENOENT) {
		return errChanged
	}
	return err
}
