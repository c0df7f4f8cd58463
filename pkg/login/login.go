// Package login finds the login name of the user who runs the program.
package login

import (
	"os/user"
	"strings"
)

// Name returns the login name of the user who runs the program, or "" if the system does not
// know it. Windows puts a domain before the name, which Name leaves out.
func Name() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return withoutDomain(u.Username)
}

// withoutDomain cuts DOMAIN off `DOMAIN\user`.
// The name has no domain if LastIndexByte returns -1, and is then returned as it is.
func withoutDomain(name string) string { return name[strings.LastIndexByte(name, '\\')+1:] }
