package gate

import (
	"encoding/binary"
	"errors"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// identity is what tells a table from every other one, also from one of the
// same name that takes its place: the handle, which the kernel counts up and
// gives to no table twice (nf_tables_newtable). 0 is no table.
type identity uint64

// unknown is the identity of no table that there will ever be.
const unknown = ^identity(0)

// identify gives the identity of the table in the kernel, and the low half of
// the number of the ruleset's generation at that moment. The library reads
// neither.
func (k *Kernel) identify() (id identity, generation uint16, err error) {
	name, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: append([]byte(k.table), 0)},
	})
	if err != nil {
		return 0, 0, err
	}
	replies, err := k.query.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETTABLE,
			Flags: netlink.Request,
		},
		Data: append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, name...),
	})
	if errors.Is(err, unix.ENOENT) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	return parseIdentity(replies)
}

var errNoIdentity = errors.New("the kernel does not say which table it has")

// tableHandle is NFTA_TABLE_HANDLE (linux/netfilter/nf_tables.h).
const tableHandle = 4

// parseIdentity reads the answer to the question for a table.
func parseIdentity(replies []netlink.Message) (id identity, generation uint16, err error) {
	const header = 4 // struct nfgenmsg: family, version, res_id
	if len(replies) != 1 || len(replies[0].Data) < header {
		return 0, 0, errNoIdentity
	}
	data := replies[0].Data
	attrs, err := netlink.NewAttributeDecoder(data[header:])
	if err != nil {
		return 0, 0, errNoIdentity
	}
	attrs.ByteOrder = binary.BigEndian
	for attrs.Next() {
		if attrs.Type() == tableHandle {
			id = identity(attrs.Uint64())
		}
	}
	if attrs.Err() != nil || id == 0 {
		return 0, 0, errNoIdentity
	}
	return id, binary.BigEndian.Uint16(data[2:header]), nil
}
