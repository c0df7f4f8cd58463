package seal

import (
	"fmt"
	"io"
)

// quiet keeps package fmt from printing the keys in a struct that embeds it.
type quiet struct{}

// Format implements fmt.Formatter: it prints "[secret]" for every verb and flag.
func (quiet) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "[secret]") }
