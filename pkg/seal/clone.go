package seal

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
)

// Clone returns the same key for another goroutine. The two share the memory of the
// keys, which only Wipe writes to: it wipes both.
func (s *SIV) Clone() *SIV {
	return &SIV{key: s.key, aead: s.aead, ctr: s.ctr, hintKey: s.hintKey, hints: hmac.New(sha256.New, s.hintKey)}
}

// Clone returns the same key for another goroutine.
func (a *Article) Clone() *Article { return &Article{block: a.block} }

// Clone returns the same key for another goroutine, in memory of its own.
func (f *Fwknop19) Clone() *Fwknop19 { return &Fwknop19{seed: bytes.Clone(f.seed)} }

// Len returns the length of a sealed message, ArticleLen.
func (a *Article) Len() int { return ArticleLen }

// Len returns the length of a sealed message, Fwknop19Len.
func (f *Fwknop19) Len() int { return Fwknop19Len }
