package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"testing"
)

// The oracle is AES-SIV once more, written after RFC 5297 and RFC 4493.

// double multiplies by x in GF(2^128).
func double(b []byte) []byte {
	out := make([]byte, len(b))
	var carry byte
	for i := len(b) - 1; i >= 0; i-- {
		out[i] = b[i]<<1 | carry
		carry = b[i] >> 7
	}
	out[len(out)-1] ^= carry * 0x87
	return out
}

func xor(a, b []byte) []byte {
	out := make([]byte, len(a))
	subtle.XORBytes(out, a, b)
	return out
}

// padded appends a one and zeroes up to a block.
func padded(b []byte) []byte {
	out := make([]byte, aes.BlockSize)
	copy(out, b)
	out[len(b)] = 0x80
	return out
}

func cmac(block cipher.Block, message []byte) []byte {
	subkey := make([]byte, aes.BlockSize)
	block.Encrypt(subkey, subkey)
	subkey = double(subkey)
	state := make([]byte, aes.BlockSize)
	for len(message) > aes.BlockSize {
		block.Encrypt(state, xor(state, message[:aes.BlockSize]))
		message = message[aes.BlockSize:]
	}
	if len(message) < aes.BlockSize {
		message, subkey = padded(message), double(subkey)
	}
	block.Encrypt(state, xor(state, xor(message, subkey)))
	return state
}

// s2v takes one string of associated data.
func s2v(block cipher.Block, data, text []byte) []byte {
	d := xor(double(cmac(block, make([]byte, aes.BlockSize))), cmac(block, data))
	if len(text) < aes.BlockSize {
		return cmac(block, xor(double(d), padded(text)))
	}
	n := len(text) - aes.BlockSize
	return cmac(block, append(append([]byte{}, text[:n]...), xor(text[n:], d)...))
}

func oracle(t testing.TB, key, data, text []byte) []byte {
	newCipher := func(key []byte) cipher.Block { return must[cipher.Block](t)(aes.NewCipher(key)) }
	half := len(key) / 2
	tag := s2v(newCipher(key[:half]), data, text)
	counter := append([]byte{}, tag...)
	counter[8] &= 0x7f
	counter[12] &= 0x7f
	out := make([]byte, len(text))
	cipher.NewCTR(newCipher(key[half:]), counter).XORKeyStream(out, text)
	return append(tag, out...)
}
