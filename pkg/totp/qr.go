package totp

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"io"

	"github.com/boombuler/barcode/qr"
)

// Escape sequences of ECMA-48 and xterm. The colours are the white and black of
// the 256-colour cube: themes redefine the first 16 colours, and some swap black
// and white.
const (
	whiteOnBlack = "\x1b[38;5;231;48;5;16m"
	resetColours = "\x1b[0m"
)

// quietZone is the width of the light border, in modules (ISO/IEC 18004).
const quietZone = 4

// maxQR is how many bytes the largest QR code holds at error correction level L.
const maxQR = 2953

// WriteQR draws text as a QR code for a terminal, in white on black whatever its
// colours are, with two rows of modules per line. Light modules are drawn and dark
// ones left out. The URI of a Secret of 160 bits takes about 50 columns and 25 lines. Nothing is
// written when text is longer than a QR code can hold, 2953 bytes.
//
// Error correction is at its lowest level: nothing damages a screen, and a
// smaller code has larger modules.
func WriteQR(w io.Writer, text string) error {
	// NB: not the mode qr.Auto, whose error shows the text.
	code, err := qr.Encode(text, qr.L, qr.Unicode)
	if err != nil {
		return fmt.Errorf("bad text of %d bytes for a QR code: want at most %d", len(text), maxQR)
	}
	var drawing bytes.Buffer
	// A QR code has an odd number of rows; the last line's lower half is one more
	// row of the quiet zone.
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

// light reports whether a module is light, as all are outside the code.
func light(code image.Image, x, y int) bool {
	return !image.Pt(x, y).In(code.Bounds()) || code.At(x, y) == color.White
}

// halfBlocks gives the character that draws the upper half, the lower, both or none.
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
