package gate

import "golang.org/x/sys/unix"

// Registers as nft allots them. The 16-byte registers 1 to 4 lie over the
// 4-byte registers 8 to 23 (linux/netfilter/nf_tables.h). A 4-byte register
// that begins where a 16-byte one does goes by the latter's name.
const (
	reg1 = unix.NFT_REG_1
	reg2 = unix.NFT_REG_2
)

// register is the nth 4-byte register, from 0, of the row that begins in reg1.
func register(n uint32) uint32 {
	if n%4 == 0 {
		return reg1 + n/4
	}
	return unix.NFT_REG32_00 + n
}

// words is the number of 4-byte registers that a field of some bytes takes in
// a concatenation.
func words(length uint32) uint32 { return (length + 3) / 4 }
