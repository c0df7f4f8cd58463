// Package version knows which version of the project a program was built from.
package version

import (
	"fmt"
	"runtime"
)

// version is set by the linker: -X nftknock/pkg/version.version=...; see the
// Makefile.
var version = "development"

// Of returns the line that a program prints as its version: its name, the version,
// the Go release it was compiled with, and the system it was compiled for.
func Of(program string) string {
	return fmt.Sprintf("%s %s (%s, %s/%s)", program, version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
