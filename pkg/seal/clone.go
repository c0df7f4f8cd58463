package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
)

// Clone gives the same key for another goroutine. The two share the memory of
// the keys, which are not written to: Wipe wipes both.
func (s *SIV) Clone() *SIV {
	return &SIV{key: s.key, aead: s.aead, ctr: s.ctr, hintKey: s.hintKey, hints: hmac.New(sha256.New, s.hintKey)}
}

// Clone gives the same key for another goroutine.
func (a *Article) Clone() *Article { return &Article{block: a.block} }

// Clone gives the same key for another goroutine, in memory of its own.
func (f *Fwknop19) Clone() *Fwknop19 { return &Fwknop19{seed: bytes.Clone(f.seed)} }

// Len is the length of a message, ArticleLen.
func (a *Article) Len() int { return ArticleLen }

// Len is the length of a message, Fwknop19Len.
func (f *Fwknop19) Len() int { return Fwknop19Len }
