package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"

	"nftknock/pkg/redact"
)

// Article seals a message into one block of AES-128, in the layout of the fwknop article
// of 2004. The clear text is
//
//	address(4) port(2) protocol(1) checksum(1) user(7, NUL padded) 1
//
// with numbers in big endian. The checksum is the sum of the bytes of port and protocol.
//
// The block is not authenticated. If any of its bits is changed it decrypts to random
// bytes, and about one in 2^32 random blocks is a valid message.
//
// An Article is for one goroutine at a time.
type Article struct {
	redact.Value
	block   cipher.Block
	scratch [ArticleLen]byte // arguments of block's methods are allocated on the heap; this is there already
}

// articleEnd is the last byte of the block: PKCS#7 padding of the 15 bytes before it.
const articleEnd = 0x01

// NewArticle makes an Article of a key of 8 to 15 bytes, which is padded with the digit
// 0 to 16. It copies the key.
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

// Clear returns the ArticleLen bytes of clear text. The user name is cut to 7 bytes, and
// Time is left out. An IPv6 address is an error.
func (a *Article) Clear(m Message) ([]byte, error) {
	if err := m.checkASCII(); err != nil {
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

// Seal encrypts what Clear returns.
func (a *Article) Seal(m Message) ([]byte, error) {
	b, err := a.Clear(m)
	if err != nil {
		return nil, err
	}
	// A message of a single block needs no mode of operation.
	a.block.Encrypt(b, b)
	return b, nil
}

// Open decrypts ArticleLen bytes, and reports whether they are a message sealed with
// this key. It allocates nothing if they are not.
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
	user := paddedUser(text[headLen : headLen+userLen])
	if !printableUser(user) {
		return Message{}, false
	}
	return parseHead(text, user)
}

// articleSum returns the checksum of a clear text. It does not include the address,
// which the article's example leaves out.
func articleSum(b []byte) byte { return sum(b[4:checksum]) }

// Wipe drops the key, and must be the last call. The key schedule is in memory of package
// aes, which cannot be zeroed.
func (a *Article) Wipe() {
	a.block = nil
	clear(a.scratch[:])
}
