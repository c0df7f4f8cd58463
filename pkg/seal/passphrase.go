package seal

import (
	"bytes"
	"fmt"
)

// minPassphrase is the length of the shortest passphrase that an encoding accepts, in
// bytes.
const minPassphrase = 8

// padKey returns a copy of the key, padded with the digit 0 to 16 bytes as in fwknop.
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
