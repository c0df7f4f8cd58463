package gate

import (
	"encoding/binary"
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableHandle is the handle of a table. No other table has it, not even one of
// the same name that replaces it: the kernel counts handles up
// (nf_tables_newtable). 0 is no table.
type tableHandle uint64

// unknown is the handle of no table that there will ever be.
const unknown = ^tableHandle(0)

// readHandle returns the handle of our table in the kernel, and the low half of
// the number of the ruleset's generation at that moment. The library reads
// neither.
func (k *Kernel) readHandle() (id tableHandle, generation uint16, err error) {
	return k.handleOf(k.table)
}

// handleOf is readHandle for any table.
func (k *Kernel) handleOf(table tableName) (id tableHandle, generation uint16, err error) {
	name, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(table.name), 0)},
	})
	if err != nil {
		return 0, 0, err
	}
	replies, err := k.query.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETTABLE,
			Flags: netlink.Request,
		},
		Data: append([]byte{byte(table.family.number), unix.NFNETLINK_V0, 0, 0}, name...),
	})
	if errors.Is(err, unix.ENOENT) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	return parseHandle(replies)
}

var errNoHandle = errors.New("the kernel gives no handle for the table")

// attrTableHandle is NFTA_TABLE_HANDLE (linux/netfilter/nf_tables.h).
const attrTableHandle = 4

// parseHandle reads the answer to the question for a table.
func parseHandle(replies []netlink.Message) (id tableHandle, generation uint16, err error) {
	const header = 4 // struct nfgenmsg: family, version, res_id
	if len(replies) != 1 || len(replies[0].Data) < header {
		return 0, 0, errNoHandle
	}
	data := replies[0].Data
	attrs, err := netlink.NewAttributeDecoder(data[header:])
	if err != nil {
		return 0, 0, errNoHandle
	}
	attrs.ByteOrder = binary.BigEndian
	for attrs.Next() {
		if attrs.Type() == attrTableHandle {
			id = tableHandle(attrs.Uint64())
		}
	}
	if attrs.Err() != nil || id == 0 {
		return 0, 0, errNoHandle
	}
	// The kernel writes the generation into res_id of what it answers (nf_tables'
	// nft_base_seq).
	return id, binary.BigEndian.Uint16(data[2:header]), nil
}
