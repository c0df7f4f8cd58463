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
	// Data is what follows kind and length; nil for the two kinds that are
	// a single byte. For OptionEnd it is the padding: every byte after it.
	Data []byte
}

// Options is the option part of a TCP header, at most 40 bytes of it.
type Options []byte

// Next returns the first option and the options after it. It ends with ok
// false: rest is then empty when every byte was read, and otherwise begins
// with the option that runs past the end or whose length is below 2, since
// nothing behind such an option can be told apart.
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
