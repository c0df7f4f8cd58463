// Package spa encodes and decodes the single packet authorization packet of
// fwknop 2.x (FKO protocol 3.0.0), so that its clients and servers are ours too.
//
// A packet is the payload of one datagram, all of it base64 of the standard
// alphabet without padding:
//
//	payload = base64("Salted__" | salt | AES-256-CBC(text)) | base64(HMAC)
//	text    = RAND:USER:TIME:VERSION:TYPE:MSG[:NAT][:SERVER_AUTH][:TIMEOUT]:DIGEST
//
// without the first ten characters, which are the same in every packet. The HMAC
// is over the base64 text with the ten characters in front and is absent where
// the two sides share no key for it; DIGEST is a plain hash over what stands
// before it. USER, MSG, NAT, SERVER_AUTH and DIGEST are base64 themselves.
// Key and initialization vector come out of secret and salt by OpenSSL's
// EVP_BytesToKey with MD5 and one round.
//
// Decoding is strict: a message has one form only, but for the sender's address,
// which may be "::" too. Base64 has its spare bits clear, numbers have no leading zeros,
// addresses are as netip.Addr prints them, and the padding is that of PKCS #7.
// (fwknop's own library looks at none of these; the client for Android 4.1.2
// does not pad at all, and is refused here.)
//
// Other than fwknop, a message may name an IPv6 address: "2001:db8::1,tcp/22".
// fwknopd refuses such a message.
package spa

import "errors"

// The reasons for which Open refuses a packet, for errors.Is. Their texts, and
// those of what wraps them, tell nothing of keys and messages.
var (
	// ErrNotForKey: the packet was made with another key. Its HMAC is wrong or
	// of another length, or, with the HMAC right or none asked for, what
	// decryption gives does not begin like a message.
	ErrNotForKey = errors.New("spa: packet is not for this key")
	// ErrDigest: it decrypts to the beginning of a message, but the digest
	// inside is not that of the message. Whoever changed it on its way did
	// not need the key if the packet has no HMAC.
	ErrDigest = errors.New("spa: digest does not match the message")
	// ErrFormat: it is no packet at all, or one from a holder of the key that
	// breaks the format; the error that wraps it says how.
	ErrFormat = errors.New("spa: malformed packet")
)

// Token identifies a packet, for refusing replays: the SHA-256 digest of salt
// and cipher text as bytes. It does not depend on how they are written or on
// the HMAC.
type Token [32]byte
