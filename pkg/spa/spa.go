// Package spa encodes and decodes single packet authorization packets of fwknop 2.x (FKO
// protocol 3.0.0), for its clients and servers.
//
// A packet is the payload of one datagram, or of one SYN or ICMP message, in base64 of the
// standard alphabet without padding:
//
//	payload = base64("Salted__" | salt | AES-256-CBC(text)) | base64(HMAC)
//	text    = RAND:USER:TIME:VERSION:TYPE:MSG[:NAT][:SERVER_AUTH][:TIMEOUT]:DIGEST
//
// without the first ten characters, which are the same in every packet. The HMAC is over
// the base64 text with the ten characters, and is absent if the two sides share no key
// for it. DIGEST is a plain hash of the text before it. USER, MSG, NAT, SERVER_AUTH and
// DIGEST are themselves in base64. Key and initialization vector are derived from secret
// and salt by OpenSSL's EVP_BytesToKey with MD5 and one round.
//
// Decoding is strict: a message has only one form, except that the sender's address may
// also be "::", and that the fields in base64 may end with the padding "=" that their
// length needs, as some clients write them. The spare bits of base64 must be clear, numbers
// have no leading zeros, addresses are in the form of netip.Addr, and the padding of the
// cipher is that of PKCS #7. (fwknop's own library checks none of these. Its client for
// Android, version 4.1.2, does not pad the plain text for the cipher, and is refused.)
//
// The packet itself has one form only: no "=" is accepted outside of the encrypted text.
// Two forms of a message are two cipher texts, which only the holder of the key can make,
// and which have two tokens.
//
// Unlike in fwknop, a message may have an IPv6 address: "2001:db8::1,tcp/22". fwknopd
// refuses such a message.
package spa

import "errors"

// The errors of Open, for errors.Is. Their texts, and those of errors that wrap them,
// contain no part of keys and messages.
var (
	// ErrNotForKey: the packet was made with another key. Its HMAC is wrong or
	// has another length; or the key has no HMAC or the HMAC is right, but the
	// decrypted text does not begin like a message.
	ErrNotForKey = errors.New("spa: packet is not for this key")
	// ErrDigest: the decrypted text begins like a message, but its digest is
	// wrong. If the key has no HMAC, somebody without the key may have changed the
	// packet.
	ErrDigest = errors.New("spa: digest does not match the message")
	// ErrFormat: the payload is not a packet, or its sender had the key but broke
	// the format. The error that wraps ErrFormat says how.
	ErrFormat = errors.New("spa: malformed packet")
	// ErrUser: the user name is too long, is not UTF-8, or has characters that do not
	// print. An error that wraps it wraps ErrFormat too.
	ErrUser = errors.New("bad user name")
)

// Token identifies a packet, to detect replays: the SHA-256 digest of the bytes of salt
// and cipher text. It depends neither on their form in base64 nor on the HMAC.
type Token [32]byte
