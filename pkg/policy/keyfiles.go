package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"nftknock/pkg/invalid"
	"nftknock/pkg/secret"
)

// openKeys reads the keys of enabled accesses from where the policy says they
// are. An access whose key is bad is marked as not sound.
func (l *loader) openKeys() {
	for i := range l.entries {
		e := &l.entries[i]
		// The key of a disabled access need not be there.
		if !e.active() {
			continue
		}
		for _, s := range e.keySlots() {
			if place := s.place(e.table); place == s.fileKey() || place == s.credentialKey() {
				e.sound = l.openKey(e.table, s, place) && e.sound
			}
		}
	}
}

// openKey reads one key and reports whether nothing is wrong with it. A lenient
// loader only warns of a key that it cannot read.
func (l *loader) openKey(t *table, s keySlot, place string) bool {
	text, err := s.open(place)
	switch {
	case err == nil:
		if !s.take(t, place, text) {
			t.code(CodeKeyBad)
			return false
		}
		return true
	case l.lenient && errors.Is(err, errNoCredentials):
		t.warn(t.valueAt(place), place+": only the daemon has the credentials of its service", "the key was not checked; the daemon checks it when it starts")
		t.code(CodeKeyUnreadable)
		return true
	case l.lenient && errors.Is(err, fs.ErrPermission):
		t.warn(t.valueAt(place), place+": cannot be read by this user", "the key was not checked; the daemon checks it when it starts")
		t.code(CodeKeyUnreadable)
		return true
	}
	message, hint := s.trouble(place, err)
	t.fail(t.valueAt(place), message, hint)
	t.code(keyCode(err))
	return false
}

// open returns the written form of a key that does not stand in the policy.
func (s keySlot) open(place string) ([]byte, error) {
	if place == s.fileKey() {
		return secret.ReadLine(*s.file)
	}
	return readCredential(*s.credential)
}

// keyCode is the code of a key that could not be read.
func keyCode(err error) Code {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return CodeKeyMissing
	case errors.Is(err, fs.ErrPermission), errors.Is(err, errNoCredentials):
		return CodeKeyUnreadable
	}
	return CodeKeyBad
}

// trouble says why a key could not be read.
//
// NB: not with the path that could not be opened, which may be the secret itself,
// written where its place was wanted.
func (s keySlot) trouble(place string, err error) (message, hint string) {
	// Errors without a path are those of what was read. They may quote a file's name,
	// and nothing of what is in it.
	var path *fs.PathError
	if !errors.As(err, &path) {
		message, hint = halves(err)
		return place + ": " + printable(message), printable(hint)
	}
	hint = "want a file that holds the key, of mode 0600"
	if place == s.credentialKey() {
		hint = "want " + howCredentialsCome
	}
	return place + ": " + reason(err), hint
}

// credentialName is what systemd takes (systemd.exec(5), LoadCredential=), without
// the odd characters it would also take.
var credentialName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,255}$`)

func isCredential(s string) bool { return credentialName.MatchString(s) && s != "." && s != ".." }

const howCredentialsCome = "LoadCredential=NAME:PATH in the unit file of the service"

var errNoCredentials = invalid.New("the service manager passes no credentials", howCredentialsCome)

// missingCredential stands in the unit file for a credential whose file is missing
// (SetCredential=), since systemd would not start the daemon without. It is no key of any
// kind.
const missingCredential = "base64:!"

// readCredential reads a credential that the service manager has passed. The mode of
// the file is not checked: where systemd gives access by an access control list, the
// mode's group bits are the list's mask and look as if the group could read it.
func readCredential(name string) ([]byte, error) {
	const most = 4 << 10
	// systemd.exec(5): set for services with LoadCredential= and its like only.
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" {
		return nil, errNoCredentials
	}
	// The name has no slash (isCredential), so the path stays in the directory.
	path := filepath.Join(dir, name)
	if err := regular(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One buffer that never grows leaves no copies behind. It has room for a byte more
	// than there may be: if that is read too, the credential is too large.
	buf := make([]byte, most+1)
	n, err := io.ReadFull(f, buf)
	switch {
	case err == nil:
		clear(buf)
		return nil, invalid.New("the credential is too large", fmt.Sprintf("at most %d bytes", most))
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		clear(buf)
		return nil, err
	}
	if bytes.Equal(buf[:n], []byte(missingCredential)) {
		return nil, invalid.New("its file was missing when the service started", "the file, and a restart of the service")
	}
	// A byte order mark, as some editors put in front of UTF-8, is no part of a key.
	return bytes.TrimPrefix(buf[:n], []byte("\ufeff")), nil
}
