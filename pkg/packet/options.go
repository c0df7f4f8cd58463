package packet

// OptionKind is a TCP option kind as assigned by IANA.
type OptionKind uint8

// The option kinds that fingerprints name.
const (
	OptionEnd           OptionKind = 0  // RFC 9293
	OptionNOP           OptionKind = 1  // RFC 9293
	OptionMSS           OptionKind = 2  // RFC 9293
	OptionWindowScale   OptionKind = 3  // RFC 7323
	OptionSACKPermitted OptionKind = 4  // RFC 2018
	OptionSACK          OptionKind = 5  // RFC 2018
	OptionTimestamps    OptionKind = 8  // RFC 7323
	OptionMPTCP         OptionKind = 30 // RFC 8684
	OptionFastOpen      OptionKind = 34 // RFC 7413
)

// Option is one TCP option.
type Option struct {
	Kind OptionKind
	// Data is what follows the bytes of kind and length. It is nil for
	// OptionNOP, and for OptionEnd every byte after it, the padding.
	Data []byte
}

// Options are the options of a TCP header as bytes, at most 40.
type Options []byte

// Next returns the first option and the options after it. ok is false at the end:
// rest is then empty if all options were read. Otherwise rest begins with a
// malformed option, whose length is below 2 or runs past the end; nothing after
// it can be read, since the next option begins where that length ends.
//
//	for opt, rest, ok := opts.Next(); ok; opt, rest, ok = rest.Next() {
func (o Options) Next() (opt Option, rest Options, ok bool) {
	if len(o) == 0 {
		return Option{}, nil, false
	}
	switch kind := OptionKind(o[0]); kind {
	case OptionEnd:
		return Option{Kind: kind, Data: o[1:]}, nil, true
	case OptionNOP:
		return Option{Kind: kind}, o[1:], true
	default:
		if len(o) < 2 || o[1] < 2 || int(o[1]) > len(o) {
			return Option{}, o, false
		}
		size := int(o[1])
		return Option{Kind: kind, Data: o[2:size]}, o[size:], true
	}
}
