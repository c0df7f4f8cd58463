package seal

// The length of a sealed message in each encoding, in bytes. One packet carries one byte.
const (
	ArticleLen  = 16
	Fwknop19Len = 32
	SIVLen4     = hintLen + tagLen + sivFixed + 4  // 38, for IPv4 or the sender
	SIVLen6     = hintLen + tagLen + sivFixed + 16 // 50, for IPv6
)

// The destination ports that stand for bytes begin at a base.
const (
	// DefaultBase is the default base of Article and Fwknop19, that of fwknop.
	DefaultBase = 61000
	// DefaultLaneBase is the default base of SIV.
	DefaultLaneBase = 48000
	// LaneWidth is the number of ports of a lane. In SIV each byte of a message has a
	// lane of its own.
	LaneWidth = 256

	// MaxBase is the highest base for which the ports of all bytes exist.
	MaxBase = 1<<16 - 256
	// MaxLaneBase is the highest base for which the ports of SIVLen6 lanes exist.
	MaxLaneBase = 1<<16 - SIVLen6*LaneWidth
)

// OrderedPort returns the port for a byte of a message whose packets stay in order. The
// base must be at most MaxBase.
func OrderedPort(base uint16, b byte) uint16 { return base + uint16(b) }

// LanePort returns the port for byte number lane of a message, counted from 0, whose
// packets may arrive in any order. The base must be at most MaxLaneBase, the lane less
// than SIVLen6.
func LanePort(base uint16, lane int, b byte) uint16 {
	return base + uint16(lane)*LaneWidth + uint16(b)
}
