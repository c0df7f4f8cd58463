package totp

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"io"

	"github.com/boombuler/barcode/qr"
)

// Style is how WriteQR draws, in the terms of qrencode(1).
type Style uint8

const (
	// UTF8 draws with block characters alone, for what is no terminal. Light
	// modules are inked: it looks right as light text on a dark background, and
	// inverted otherwise, which not every scanner reads.
	UTF8 Style = iota
	// ANSI256UTF8 draws the same in white on black, whatever the colours of the
	// terminal. They are the white and black of the 256-colour cube: themes
	// redefine the first 16 colours, and some swap black and white.
	ANSI256UTF8
)

// Escape sequences of ECMA-48 and xterm.
const (
	whiteOnBlack = "\x1b[38;5;231;48;5;16m"
	resetColours = "\x1b[0m"
)

// quietZone is the width of the light border, in modules (ISO/IEC 18004).
const quietZone = 4

// maxQR is how many bytes the largest QR code holds at error correction level L.
const maxQR = 2953

// WriteQR draws text as a QR code, in lines that each hold two rows of modules.
// The URI of a Secret of 160 bits takes about 50 columns and 25 lines. Nothing is
// written when text is longer than a QR code can hold, 2953 bytes.
//
// Error correction is at its lowest level: nothing damages a screen, and a
// smaller code has larger modules.
func WriteQR(w io.Writer, text string, style Style) error {
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
		if style == ANSI256UTF8 {
			drawing.WriteString(whiteOnBlack)
		}
		for x := area.Min.X; x < area.Max.X; x++ {
			drawing.WriteRune(halfBlocks(light(code, x, y), light(code, x, y+1)))
		}
		if style == ANSI256UTF8 {
			drawing.WriteString(resetColours)
		}
		drawing.WriteByte('\n')
	}
	_, err = w.Write(drawing.Bytes())
	return err
}

// light reports whether a module is light, as all are outside the code.
func light(code image.Image, x, y int) bool {
	return !image.Pt(x, y).In(code.Bounds()) || code.At(x, y) == color.White
}

// halfBlocks gives the character whose upper and lower half are inked so.
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
