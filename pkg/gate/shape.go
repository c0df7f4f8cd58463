package gate

import (
	"bytes"
	"encoding/binary"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The shape of a table tells whether anybody changed what Apply made: its chains,
// sets and rules with their handles, in their order, and what of them can be
// changed, as the kernel writes it. (A rule that takes the place of another has
// its handle. The library reads back neither all expressions nor, of sets, all
// flags. What is in constant sets cannot change.)

// Attributes of linux/netfilter/nf_tables.h.
const (
	chainTable, chainHandle, chainName, chainHook, chainPolicy = 1, 2, 3, 4, 5
	setTable, setName, setFlags, setHandle                     = 1, 2, 3, 16
	ruleTable, ruleChain, ruleHandle, ruleExpressions          = 1, 2, 3, 4
)

// remember notes the identity and the shape of the table that a transaction left,
// in the generation that it began; before is the table it changed in place, or 0.
// Where somebody else was quicker, a Repair is asked for.
func (k *Kernel) remember(before identity, generation uint32) {
	k.shape, k.ours = nil, before
	id, first, err := k.identify()
	if err != nil || first != uint16(generation) {
		if before == 0 {
			k.ours = unknown
		}
		k.watch.signal()
		return
	}
	k.ours = id
	if k.owned {
		return // nobody else can change it
	}
	shape, err := k.readShape()
	if _, last, err2 := k.identify(); err != nil || err2 != nil || last != first {
		k.watch.signal()
		return
	}
	k.shape = shape
}

// intact reports whether the table is as our last transaction left it.
func (k *Kernel) intact() bool {
	t, err := k.find()
	if err != nil || t == nil || k.foreign(t) {
		return false
	}
	if k.owned {
		return t.Owner == k.port
	}
	id, _, err := k.identify()
	if err != nil || id != k.ours || t.Flags != 0 || k.shape == nil || k.watch.rules.Load() {
		return false
	}
	shape, err := k.readShape()
	return err == nil && bytes.Equal(shape, k.shape)
}

// readShape reads the shape of the table in the kernel.
func (k *Kernel) readShape() ([]byte, error) {
	var shape []byte
	for _, kind := range []struct {
		message uint16
		table   uint16
		attrs   []uint16
	}{
		{unix.NFT_MSG_GETCHAIN, chainTable, []uint16{chainHandle, chainName, chainHook, chainPolicy}},
		{unix.NFT_MSG_GETSET, setTable, []uint16{setName, setFlags, setHandle}},
		{unix.NFT_MSG_GETRULE, ruleTable, []uint16{ruleChain, ruleHandle, ruleExpressions}},
	} {
		replies, err := k.dump(kind.message, kind.table)
		if err != nil {
			return nil, err
		}
		for _, m := range replies {
			shape = appendAttributes(shape, m.Data, kind.table, k.table, kind.attrs)
		}
	}
	return shape, nil
}

// dump lists the objects of a kind in our table.
func (k *Kernel) dump(message, tableAttr uint16) ([]netlink.Message, error) {
	name, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: tableAttr, Data: append([]byte(k.table), 0)}})
	if err != nil {
		return nil, err
	}
	return k.query.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | message),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, name...),
	})
}

// appendAttributes adds some attributes of an object to a shape, if it is one of
// the table's: not every kernel filters all it lists.
func appendAttributes(shape, data []byte, tableAttr uint16, table string, attrs []uint16) []byte {
	const header = 4 // struct nfgenmsg
	if len(data) < header {
		return shape
	}
	ad, err := netlink.NewAttributeDecoder(data[header:])
	if err != nil {
		return shape
	}
	object := make([]byte, 0, 64)
	ours := false
	for ad.Next() {
		if ad.Type() == tableAttr {
			ours = ad.String() == table
		}
		for _, a := range attrs {
			if ad.Type() == a {
				object = binary.BigEndian.AppendUint16(object, a)
				object = append(object, ad.Bytes()...)
			}
		}
	}
	if !ours {
		return shape
	}
	return append(shape, object...)
}
