package seal

import (
	"fmt"
	"io"
)

// quiet, embedded, keeps package fmt from printing the keys of a struct.
type quiet struct{}

// Format implements fmt.Formatter: every verb and flag gives "[secret]".
func (quiet) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[secret]") }
