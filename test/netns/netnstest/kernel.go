package netnstest

import (
	"errors"
	"os"
	"testing"
)

// KernelHas reports whether the kernel has a feature. It calls ask inside a new host; ask
// must use the feature and return the kernel's error. errors.ErrUnsupported means that the
// kernel does not have it; any other error fails the test.
//
// If the environment variable NFTKNOCK_KERNEL_HAS_<feature> is "yes" or "no", the test
// fails if the result differs. It is set where the kernel is known, so that a wrong result
// does not silently skip tests.
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
