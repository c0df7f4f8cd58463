package policy

import (
	"path/filepath"
	"strings"
)

// Keys that are reserved for later versions. Each of them gives a diagnostic.

var (
	laterNFTables = []string{"set4", "set6", "mark"}
	laterAccess   = []string{"forward"}
)

// unsupported reports those of some keys that are present. Ignored, a key such as
// "forward" would open something else than the administrator meant.
func (t *table) unsupported(keys []string) {
	for _, key := range keys {
		t.misplaced(key, key+" is not supported by this version", "remove it")
	}
}

func isPath(s string) bool { return filepath.IsAbs(s) && !strings.ContainsRune(s, 0) }

// isSocket: sun_path of unix(7) holds 108 bytes with the NUL at its end.
func isSocket(s string) bool { return isPath(s) && len(s) < 108 }
