package policy

import (
	"path/filepath"
	"strings"
)

func isPath(s string) bool { return filepath.IsAbs(s) && !strings.ContainsRune(s, 0) }

// isSocket: sun_path of unix(7) holds 108 bytes with the NUL at its end.
func isSocket(s string) bool { return isPath(s) && len(s) < 108 }
