package seal

// How many bytes each encoding seals a message into, which is how many packets
// carry it.
const (
	ArticleLen  = 16
	Fwknop19Len = 32
	SIVLen4     = hintLen + tagLen + sivFixed + 4  // 38, for IPv4 or the sender
	SIVLen6     = hintLen + tagLen + sivFixed + 16 // 50, for IPv6
)

// The ports that bytes travel as begin at a base.
const (
	// DefaultBase is where the ports of Article and Fwknop19 begin, as fwknop
	// has it.
	DefaultBase = 61000
	// DefaultLaneBase is where the lanes of SIV begin.
	DefaultLaneBase = 48000
	// LaneWidth is the number of ports that belong to one byte of SIV.
	LaneWidth = 256

	// MaxBase is the highest base that leaves room for every byte.
	MaxBase = 1<<16 - 256
	// MaxLaneBase is the highest base that leaves room for SIVLen6 lanes.
	MaxLaneBase = 1<<16 - SIVLen6*LaneWidth
)

// OrderedPort gives the port that a byte travels as where packets stay in order.
// The base is at most MaxBase.
func OrderedPort(base uint16, b byte) uint16 { return base + uint16(b) }

// LanePort gives the port that the byte at a position, counted from 0, travels as
// where every position has ports of its own. The base is at most MaxLaneBase,
// the lane less than SIVLen6.
func LanePort(base uint16, lane int, b byte) uint16 {
	return base + uint16(lane)*LaneWidth + uint16(b)
}
