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
		panic("p0f: " + err.Error())
	}
	return db
})

// BuiltinName stands for the built-in table in lists of databases.
const BuiltinName = "builtin"

// Load merges databases, each the path of a file for Parse or BuiltinName. The
// earlier ones come first. Errors name the file.
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

// Builtin gives the table that is part of the program (builtin.fp).
func Builtin() *Database { return builtin() }
