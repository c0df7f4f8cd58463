// Package login tells who runs the program.
package login

import (
	"os/user"
	"strings"
)

// Name is the login name of the user, without the domain that Windows puts before
// it; "" if the system does not tell.
func Name() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return withoutDomain(u.Username)
}

// withoutDomain cuts DOMAIN off `DOMAIN\user`.
func withoutDomain(name string) string { return name[strings.LastIndexByte(name, '\\')+1:] }
