package totp

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"io"

	"github.com/boombuler/barcode/qr"
)

// Escape sequences of ECMA-48 and xterm. They use the white and black of the 256-colour
// cube, since themes redefine the first 16 colours, and some swap black and white.
const (
	whiteOnBlack = "\x1b[38;5;231;48;5;16m"
	resetColours = "\x1b[0m"
)

// quietZone is the width of the light border, in modules (ISO/IEC 18004).
const quietZone = 4

// maxQR is the capacity of the largest QR code at error correction level L, in bytes.
const maxQR = 2953

// WriteQR draws text as a QR code for a terminal, in white on black whatever its colours
// are, in lines of two rows of modules. It draws the light modules and leaves the dark ones
// out. The URI of a Secret of 160 bits takes about 50 columns and 25 lines. WriteQR returns
// an error and writes nothing if text is longer than 2953 bytes, the capacity of a QR code.
//
// Error correction is at its lowest level: a screen has no damaged modules, and a smaller
// code has larger modules.
func WriteQR(w io.Writer, text string) error {
	// NB: the error of mode qr.Auto contains the text, which is a secret.
	code, err := qr.Encode(text, qr.L, qr.Unicode)
	if err != nil {
		return fmt.Errorf("bad text of %d bytes for a QR code: want at most %d", len(text), maxQR)
	}
	var drawing bytes.Buffer
	// A QR code has an odd number of rows. The lower half of the last line is an
	// additional row of the quiet zone.
	area := code.Bounds().Inset(-quietZone)
	for y := area.Min.Y; y < area.Max.Y; y += 2 {
		drawing.WriteString(whiteOnBlack)
		for x := area.Min.X; x < area.Max.X; x++ {
			drawing.WriteRune(halfBlocks(light(code, x, y), light(code, x, y+1)))
		}
		// NB: before the end of the line, or the colours would fill the line
		// that scrolls in.
		drawing.WriteString(resetColours + "\n")
	}
	_, err = w.Write(drawing.Bytes())
	return err
}

// light reports whether a module is light. Modules outside of the code are.
func light(code image.Image, x, y int) bool {
	return !image.Pt(x, y).In(code.Bounds()) || code.At(x, y) == color.White
}

// halfBlocks returns the character whose upper and lower half are drawn or not.
func halfBlocks(upper, lower bool) rune {
	switch {
	case upper && lower:
		return '█'
	case upper:
		return '▀'
	case lower:
		return '▄'
	}
	return ' '
}
