package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"nftknock/pkg/redact"
)

// Article seals a message into one block of AES-128, laid out as the fwknop article
// of 2004 shows it. The clear text is
//
//	address(4) port(2) protocol(1) checksum(1) user(7, NUL padded) 1
//
// with numbers big endian, and in the checksum the sum of port and protocol.
//
// Nothing authenticates the block. To change any of its bits gives another block
// of chance, and one in about 2^32 of those has all marks of a message.
//
// An Article is for one goroutine at a time.
type Article struct {
	redact.Value
	block   cipher.Block
	scratch [ArticleLen]byte // what goes through block would escape
}

// articleEnd is the padding that makes a block of 15 bytes.
const articleEnd = 0x01

// NewArticle takes a key of 8 to 15 bytes. It is filled up with the digit 0.
func NewArticle(key []byte) (*Article, error) {
	if len(key) < minPassphrase || len(key) > 15 {
		return nil, fmt.Errorf("bad key of %d bytes: want %d to 15", len(key), minPassphrase)
	}
	padded := padKey(key)
	defer clear(padded)
	block, err := aes.NewCipher(padded)
	if err != nil {
		return nil, err
	}
	return &Article{block: block}, nil
}

// Clear gives the ArticleLen bytes of clear text. The user name is cut to 7
// bytes; Time is not held. An IPv6 address is an error.
func (a *Article) Clear(m Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	b := make([]byte, ArticleLen)
	if err := putHead(b, m); err != nil {
		return nil, err
	}
	b[checksum] = articleSum(b)
	copy(b[headLen:], cutUser(m.User, userLen))
	b[ArticleLen-1] = articleEnd
	return b, nil
}

// Seal enciphers what Clear gives.
func (a *Article) Seal(m Message) ([]byte, error) {
	b, err := a.Clear(m)
	if err != nil {
		return nil, err
	}
	a.block.Encrypt(b, b)
	return b, nil
}

// Open reads ArticleLen bytes, and reports whether they were a message under this
// key. It allocates nothing when they were not.
func (a *Article) Open(b []byte) (Message, bool) {
	if len(b) != ArticleLen {
		return Message{}, false
	}
	text := a.scratch[:]
	copy(text, b)
	a.block.Decrypt(text, text)
	if text[ArticleLen-1] != articleEnd || text[checksum] != articleSum(text) {
		return Message{}, false
	}
	user, ok := paddedUser(text[headLen : headLen+userLen])
	if !ok {
		return Message{}, false
	}
	return parseHead(text, user)
}

// articleSum leaves out the address, as the article's example does.
func articleSum(b []byte) byte { return sum(b[4:checksum]) }

// Wipe forgets the key, and must be the last call. Package aes keeps the key's
// schedule where it cannot be zeroed.
func (a *Article) Wipe() {
	a.block = nil
	clear(a.scratch[:])
}
