package netnstest

import (
	"errors"
	"os"
	"testing"
)

// KernelHas reports whether the kernel has a feature, by trying it: ask uses
// it inside a host of its own and gives the kernel's error. "Not supported"
// means that it has not; any other error fails the test.
//
// Where NFTKNOCK_KERNEL_HAS_<feature> is "yes" or "no" in the environment, the
// test fails if the kernel says otherwise: whoever sets it knows the kernel,
// and wants the tests of that feature, or those of its absence, to run.
func KernelHas(t testing.TB, feature string, ask func() error) bool {
	t.Helper()
	host := New(t)
	err := host.Do(ask)
	has := err == nil
	if !has && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatalf("asking the kernel for %s: %v", feature, err)
	}
	name := "NFTKNOCK_KERNEL_HAS_" + feature
	switch want := os.Getenv(name); {
	case want == "":
	case want != "yes" && want != "no":
		t.Fatalf("%s=%q: want yes or no", name, want)
	case has != (want == "yes"):
		t.Fatalf("%s=%s, and the kernel says: %v", name, want, err)
	}
	return has
}
