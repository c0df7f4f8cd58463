package gate

import "github.com/google/nftables"

// tableName identifies a table of a network namespace. Tables of
// different families may have the same name.
type tableName struct {
	family tableFamily
	name   string
}

// tableFamily is the family of a table: the number that the kernel has for it and
// the word that nft has.
type tableFamily struct {
	number nftables.TableFamily
	word   string
}

// inet is the family of tables that see IPv4 and IPv6, as ours does.
var inet = tableFamily{nftables.TableFamilyINet, "inet"}

// String returns the table's name as it is written behind "table": "inet nftknock".
func (n tableName) String() string { return n.family.word + " " + n.name }

// netlink is the table as the netlink library knows it.
func (n tableName) netlink(flags nftables.TableFlags) *nftables.Table {
	return &nftables.Table{Name: n.name, Family: n.family.number, Flags: flags}
}
