package seal

import (
	"bytes"
	"fmt"
)

// minPassphrase is the length in bytes under which every encoding refuses a
// passphrase.
const minPassphrase = 8

// padKey gives a copy of the key that is filled up with the digit 0 to 16 bytes, as
// fwknop does.
func padKey(key []byte) []byte {
	const size = 16
	padded := bytes.Repeat([]byte{'0'}, max(size, len(key)))
	copy(padded, key)
	return padded
}

func checkPassphrase(passphrase []byte) error {
	if len(passphrase) < minPassphrase {
		return fmt.Errorf("bad passphrase of %d bytes: want at least %d", len(passphrase), minPassphrase)
	}
	return nil
}
