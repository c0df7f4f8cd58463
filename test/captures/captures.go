// Package captures reads packet captures for tests.
package captures

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"os"
	"testing"

	"nftknock/pkg/capture"
)

// Corpus returns the directory of captures that are not part of the project: that in the
// environment variable CORPUS, or one next to the checkout, relative to a test two
// directories below its root. It need not exist.
func Corpus() string { return cmp.Or(os.Getenv("CORPUS"), "../../../shared/corpus") }

// Read returns the packets of a capture, each from its IP header on.
func Read(t testing.TB, name string) [][]byte {
	t.Helper()
	r, err := capture.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all [][]byte
	for {
		_, b, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bytes.Clone(b))
	}
}
