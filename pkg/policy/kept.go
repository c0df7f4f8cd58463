package policy

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"nftknock/pkg/invalid"
)

// WriteKept is WriteTOML for a copy that ParseKept reads. It has no keys either, but says of
// each that is in the policy itself that there is one: an access must not become one that
// needs no HMAC because its HMAC key is not written down.
func (p *Policy) WriteKept(w io.Writer) error {
	b := &keptWriter{bufio.NewWriter(w)}
	p.writeSections(b)
	for i := range p.Accesses {
		p.Accesses[i].write(b)
	}
	return b.Flush()
}

// keptWriter is the writer of WriteKept, by which writeKeys knows it.
type keptWriter struct{ *bufio.Writer }

func isKept(w io.Writer) bool {
	_, ok := w.(*keptWriter)
	return ok
}

// ParseKept is Parse for the text of WriteKept. Accesses with a key that was in the policy
// itself are Withheld. The text may be as long as one with every default filled in is.
func ParseKept(file string, data []byte) (*Policy, Diagnostics) {
	l := newLoader(time.Now(), nil)
	l.kept = true
	l.main(file, data)
	return l.result()
}

// withheldKey is the key by which WriteKept says that the access has this key.
func (s keySlot) withheldKey() string { return s.name + "_withheld" }

// withheld reports whether WriteKept says that the access has this key, and notes it.
func (s keySlot) withheld(t *table, a *Access) bool {
	if !t.doc.kept || !t.has(s.withheldKey()) {
		return false
	}
	a.Withheld = true
	return true
}

// errWithheld is the error of OpenKeys for a key that ParseKept cannot know.
var errWithheld = invalid.New("its key is in the policy itself, and is not kept with the last policy that worked", "key_file or key_credential")

// OpenKeys reads those keys of the access that it does not have, from their files and
// credentials, as Load does. The error says why one cannot be read, and nothing of what is in
// it. It does nothing for an access without keys.
func (a *Access) OpenKeys() error {
	if a.Withheld {
		return errWithheld
	}
	for _, s := range a.keySlots() {
		if s.isSet() {
			continue
		}
		place := s.fileKey()
		switch {
		case *s.file != "":
		case *s.credential != "":
			place = s.credentialKey()
		default:
			continue // SPA without HMAC; the caller finds out if the key is needed
		}
		if err := s.load(place); err != nil {
			return err
		}
	}
	return nil
}

// load reads a key that does not stand in the policy.
func (s keySlot) load(place string) error {
	text, err := s.open(place)
	if err != nil {
		message, hint := s.trouble(place, err)
		if hint != "" {
			message += "; " + hint
		}
		return errors.New(message)
	}
	defer clear(text)
	if err := s.set(text); err != nil {
		return fmt.Errorf("%s: %w", place, err)
	}
	return nil
}
