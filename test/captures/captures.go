// Package captures reads captures for tests.
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

// Corpus is a collection of captures that is no part of the project: the
// directory that CORPUS names, or one beside the checkout. It need not be there,
// for a test two directories below the top.
func Corpus() string { return cmp.Or(os.Getenv("CORPUS"), "../../../shared/corpus") }

// Read gives the packets of a capture, each from its IP header on.
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
