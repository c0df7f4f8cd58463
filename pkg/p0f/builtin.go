package p0f

import (
	_ "embed"
	"fmt"
	"os"
	"strings"
	"sync"
)

//go:embed builtin.fp
var builtinTable string

var builtin = sync.OnceValue(func() *Database {
	db, err := Parse(BuiltinName, strings.NewReader(builtinTable))
	if err != nil {
		panic("p0f: " + err.Error()) // the embedded table does not change at run time
	}
	return db.weighed()
})

// BuiltinName is the name of the built-in table, for Load.
const BuiltinName = "builtin"

// Load reads and merges databases. Each name is BuiltinName or the path of a file
// for Parse. Where two signatures fit equally well, that of the earlier database
// counts. Errors name the file.
func Load(names ...string) (*Database, error) {
	dbs := make([]*Database, len(names))
	for i, name := range names {
		var err error
		if dbs[i], err = loadOne(name); err != nil {
			return nil, err
		}
	}
	if len(dbs) == 1 {
		return dbs[0], nil
	}
	db, err := Merge(dbs...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", strings.Join(names, " and "), err)
	}
	return db, nil
}

func loadOne(name string) (*Database, error) {
	if name == BuiltinName {
		return Builtin(), nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return Parse(name, f)
}

// Builtin returns the table that is part of the program (builtin.fp).
func Builtin() *Database { return builtin() }
