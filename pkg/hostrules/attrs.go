package hostrules

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/mdlayher/netlink"
)

// attrs are netlink attributes by type. Where a type repeats, the last one counts.
type attrs map[uint16][]byte

// parseAttrs parses a sequence of attributes.
func parseAttrs(b []byte) (attrs, error) {
	a := make(attrs)
	err := eachAttr(b, func(typ uint16, data []byte) error {
		a[typ] = data
		return nil
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// eachAttr calls f with each attribute, in order.
func eachAttr(b []byte, f func(typ uint16, data []byte) error) error {
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return err
	}
	for d.Next() {
		if err := f(d.Type(), d.Bytes()); err != nil {
			return err
		}
	}
	return d.Err()
}

// nested parses an attribute that holds others; one that is absent holds none.
func (a attrs) nested(typ uint16) (attrs, error) { return parseAttrs(a[typ]) }

// u32 returns a number in network byte order, 0 if it is absent or has another size.
func (a attrs) u32(typ uint16) uint32 {
	if b := a[typ]; len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (a attrs) has(typ uint16) bool {
	_, ok := a[typ]
	return ok
}

// text returns a string that ends with its first NUL.
func (a attrs) text(typ uint16) string {
	s, _, _ := strings.Cut(string(a[typ]), "\x00")
	return s
}

// unpacked marks the type under which the bytes of a nested nft_data are kept once they
// are parsed: no attribute has it (NLA_F_NESTED).
const unpacked = 1 << 15

// unpack parses the nested nft_data of some types, so that value need not do it each time.
func (a attrs) unpack(types ...uint16) {
	for _, t := range types {
		if a.has(t) {
			a[t|unpacked] = a.value(t)
		}
	}
}

// value returns the bytes of a nested nft_data, nil if it holds a verdict.
func (a attrs) value(typ uint16) []byte {
	if b, ok := a[typ|unpacked]; ok {
		return b
	}
	n, err := a.nested(typ)
	if err != nil {
		return nil
	}
	return n[dataValue]
}

// verdict returns the verdict of a nested nft_data.
func (a attrs) verdict(typ uint16) (verdict, bool) {
	n, err := a.nested(typ)
	if err != nil {
		return verdict{}, false
	}
	v, err := n.nested(dataVerdict)
	if err != nil || len(v[verdictCode]) != 4 {
		return verdict{}, false
	}
	return verdict{code: int32(v.u32(verdictCode)), chain: v.text(verdictChain)}, true
}

// A verdict is what a rule decides.
type verdict struct {
	code  int32
	chain string // of a jump or goto
}

// An expr is an expression of a rule.
type expr struct {
	name  string
	attrs attrs
}

// Bounds of a rule: more than the kernel takes (NFT_RULE_MAXEXPRS is 128, linux/netfilter/nf_tables.h).
const maxExpressions = 128

var errTooMany = errors.New("too many expressions")

// parseExprs parses the list of expressions of a rule.
func parseExprs(b []byte) ([]expr, error) {
	var list []expr
	err := eachAttr(b, func(_ uint16, data []byte) error {
		if len(list) == maxExpressions {
			return errTooMany
		}
		e, err := parseExpr(data)
		list = append(list, e)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("expressions of a rule: %w", err)
	}
	return list, nil
}

func parseExpr(b []byte) (expr, error) {
	a, err := parseAttrs(b)
	if err != nil {
		return expr{}, err
	}
	data, err := a.nested(exprData)
	if err != nil {
		return expr{}, err
	}
	x := expr{name: a.text(exprName), attrs: data}
	switch x.name {
	case "cmp", "range":
		data.unpack(3, 4)
	case "bitwise":
		data.unpack(4, 5)
	}
	return x, nil
}
