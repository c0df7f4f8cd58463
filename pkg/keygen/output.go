package keygen

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/term"

	"nftknock/pkg/totp"
)

// write puts the keys into new files.
func (o *Options) write(m made) error {
	if err := writeNew(o.Output, m.key); err != nil {
		return err
	}
	if m.hmac == "" {
		return nil
	}
	if err := writeNew(o.hmacOutput(), m.hmac); err != nil {
		// One of the two keys alone is of no use.
		return errors.Join(err, os.Remove(o.Output))
	}
	return nil
}

func (o *Options) hmacOutput() string { return o.Output + ".hmac" }

// writeNew writes a line into a new file, which from its creation on only its
// owner can read.
func writeNew(path, line string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s exists already, and keygen never overwrites a file", path)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: make it first (mkdir -m 700)", filepath.Dir(path))
	case err != nil:
		return err
	}
	_, err = fmt.Fprintln(f, line)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// readable reports whether w is a file that others can read, and its mode. On
// Windows modes say nothing about that.
func readable(w io.Writer) (fs.FileMode, bool) {
	const others = 0o044
	f, ok := w.(*os.File)
	if !ok || runtime.GOOS == "windows" {
		return 0, false
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return 0, false
	}
	mode := info.Mode().Perm()
	return mode, mode&others != 0
}

// show gives a secret for one-time codes in the form that a phone takes. NB: only
// a terminal is sure to have no other readers; standard error may be a log.
func (o *Options) show(m made, stdout, stderr io.Writer) error {
	if !o.TOTP {
		return nil
	}
	f, ok := stderr.(*os.File)
	terminal := ok && term.IsTerminal(int(f.Fd()))
	switch {
	case o.Output != "":
		fmt.Fprintln(stdout, m.uri)
	case terminal:
		fmt.Fprintln(stderr, m.uri)
	}
	if !terminal {
		fmt.Fprintln(stderr, "The QR code for a phone is drawn only on a terminal.")
		return nil
	}
	return totp.WriteQR(stderr, m.uri)
}
