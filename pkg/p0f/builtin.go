package p0f

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed builtin.fp
var builtinTable string

var builtin = sync.OnceValue(func() *Database {
	db, err := Parse("builtin", strings.NewReader(builtinTable))
	if err != nil {
		panic("p0f: " + err.Error())
	}
	return db
})

// Builtin gives the table that is part of the program (builtin.fp).
func Builtin() *Database { return builtin() }
