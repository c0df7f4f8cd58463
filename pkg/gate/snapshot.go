package gate

import (
	"bytes"
	"encoding/binary"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The snapshot of a table shows whether another process changed what Apply made: its
// chains, sets and rules with their handles, in their order, and what of them can
// be changed, as the kernel writes it. (A rule that takes the place of another has
// its handle. The library reads back neither all expressions nor, of sets, all
// flags. What is in constant sets cannot change.)

// Attributes of linux/netfilter/nf_tables.h.
const (
	chainTable, chainHandle, chainName, chainHook, chainPolicy = 1, 2, 3, 4, 5
	setTable, setName, setFlags, setHandle                     = 1, 2, 3, 16
	ruleTable, ruleChain, ruleHandle, ruleExpressions          = 1, 2, 3, 4
)

// remember notes the handle and the snapshot of the table that a transaction left,
// in the generation that it began; before is the table it changed in place, or 0.
// Where another process was quicker, it signals Changes.
func (k *Kernel) remember(before tableHandle, generation uint32) {
	k.snapshot, k.handle = nil, before
	id, first, err := k.readHandle()
	if err != nil || first != uint16(generation) {
		// Another transaction came after ours, and the table may be another one.
		if before == 0 {
			k.handle = unknown
		}
		k.watch.signal()
		return
	}
	k.handle = id
	if k.owned {
		return // nobody else can change it
	}
	snapshot, err := k.readSnapshot()
	// It takes several requests: it is whole if the generation is still the same.
	if _, last, err2 := k.readHandle(); err != nil || err2 != nil || last != first {
		k.watch.signal()
		return
	}
	k.snapshot = snapshot
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
	id, _, err := k.readHandle()
	if err != nil || id != k.handle || t.Flags != 0 || k.snapshot == nil || k.watch.rules.Load() {
		return false
	}
	snapshot, err := k.readSnapshot()
	return err == nil && bytes.Equal(snapshot, k.snapshot)
}

// A kind of object in a snapshot: how to ask for its objects, which attribute
// names the table, and which attributes count.
type objectKind struct {
	message uint16
	table   uint16
	attrs   []uint16
}

func objectKinds() []objectKind {
	return []objectKind{
		{unix.NFT_MSG_GETCHAIN, chainTable, []uint16{chainHandle, chainName, chainHook, chainPolicy}},
		{unix.NFT_MSG_GETSET, setTable, []uint16{setName, setFlags, setHandle}},
		{unix.NFT_MSG_GETRULE, ruleTable, []uint16{ruleChain, ruleHandle, ruleExpressions}},
	}
}

// readSnapshot takes a snapshot of the table in the kernel.
func (k *Kernel) readSnapshot() ([]byte, error) {
	var snapshot []byte
	for _, kind := range objectKinds() {
		replies, err := k.dump(kind)
		if err != nil {
			return nil, err
		}
		for _, m := range replies {
			snapshot = append(snapshot, kind.read(m.Data, k.table.name)...)
		}
	}
	return snapshot, nil
}

// dump lists the objects of a kind in our table.
func (k *Kernel) dump(kind objectKind) ([]netlink.Message, error) {
	name, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: kind.table, Data: append([]byte(k.table.name), 0)}})
	if err != nil {
		return nil, err
	}
	return k.query.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind.message),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{byte(k.table.family.number), unix.NFNETLINK_V0, 0, 0}, name...),
	})
}

// read returns the attributes of an object that count, each behind its number, or
// nothing for an object of another table.
func (kind objectKind) read(data []byte, table string) []byte {
	const header = 4 // struct nfgenmsg
	if len(data) < header {
		return nil
	}
	ad, err := netlink.NewAttributeDecoder(data[header:])
	if err != nil {
		return nil
	}
	object := make([]byte, 0, 64)
	ours := false
	for ad.Next() {
		// Not every kernel filters what it lists: nf_tables_dump_chains gives the chains
		// of all tables of the family.
		if ad.Type() == kind.table {
			ours = ad.String() == table
		}
		if slices.Contains(kind.attrs, ad.Type()) {
			object = binary.BigEndian.AppendUint16(object, ad.Type())
			object = append(object, ad.Bytes()...)
		}
	}
	if !ours {
		return nil
	}
	return object
}
