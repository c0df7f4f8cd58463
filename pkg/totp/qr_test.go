package totp

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
)

// undraw makes a picture of the characters of a drawing as a terminal would show
// them, one pixel per module.
func undraw(t testing.TB, drawing string) *image.Gray {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(drawing, "\n"), "\n")
	picture := image.NewGray(image.Rect(0, 0, len([]rune(lines[0])), 2*len(lines)))
	for y, line := range lines {
		if n := len([]rune(line)); n != picture.Rect.Dx() {
			t.Fatalf("line %d has %d columns, the first has %d", y+1, n, picture.Rect.Dx())
		}
		for x, char := range []rune(line) {
			upper, lower := black, black
			switch char {
			case '█':
				upper, lower = white, white
			case '▀':
				upper = white
			case '▄':
				lower = white
			case ' ':
			default:
				t.Fatalf("line %d holds %q", y+1, char)
			}
			picture.SetGray(x, 2*y, upper)
			picture.SetGray(x, 2*y+1, lower)
		}
	}
	return picture
}

// draw returns a drawing without its colours, which must be white on black in each
// line and end before the line does, or they would fill what scrolls in.
func draw(t testing.TB, text string) string {
	t.Helper()
	var out bytes.Buffer
	if err := WriteQR(&out, text); err != nil {
		t.Fatal(err)
	}
	var plain strings.Builder
	for line := range strings.Lines(out.String()) {
		line, begins := strings.CutPrefix(line, "\x1b[38;5;231;48;5;16m")
		line, ends := strings.CutSuffix(line, "\x1b[0m\n")
		if !begins || !ends || strings.Contains(line, "\x1b") {
			t.Fatalf("colours of line %q", line)
		}
		plain.WriteString(line + "\n")
	}
	return plain.String()
}

var white, black = color.Gray{Y: 255}, color.Gray{Y: 0}

// qrTexts are texts for drawings, by name.
func qrTexts(t testing.TB) map[string]string {
	return map[string]string{
		"URI sha1":   parse(t, rfcSHA1, SHA1).URI("nftknock", "ssh"),
		"URI sha256": parse(t, rfcSHA256, SHA256).URI("gate.example.com", "me@2001:db8::1"),
		"digits":     "12345678",
		"letters":    "HELLO WORLD",
		"letter":     "a",
		"largest":    strings.Repeat("Largest. ", 329)[:maxQR],
	}
}

func TestQRDrawsEveryModule(t *testing.T) {
	for name, text := range qrTexts(t) {
		code, err := qr.Encode(text, qr.L, qr.Unicode)
		if err != nil {
			t.Fatal(err)
		}
		picture := undraw(t, draw(t, text))
		for y := range code.Bounds().Dy() {
			for x := range code.Bounds().Dx() {
				got := picture.GrayAt(x+quietZone, y+quietZone)
				if want := color.GrayModel.Convert(code.At(x, y)); got != want {
					t.Fatalf("%s: module %d, %d is %v, want %v", name, x, y, got, want)
				}
			}
		}
	}
}

func TestQRHasAQuietZoneOfFourModules(t *testing.T) {
	picture := undraw(t, draw(t, parse(t, rfcSHA1, SHA1).URI("nftknock", "ssh")))
	code := image.Rectangle{}
	for y := range picture.Rect.Dy() {
		for x := range picture.Rect.Dx() {
			if picture.GrayAt(x, y) == black {
				code = code.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	size := code.Dx()
	want := image.Rect(4, 4, 4+size, 4+size)
	// The last line has an additional row.
	if code != want || picture.Rect != image.Rect(0, 0, size+8, size+9) {
		t.Errorf("code at %v of %v", code, picture.Rect)
	}
}

type failing struct{ writes int }

var errFull = errors.New("full")

func (f *failing) Write([]byte) (int, error) { f.writes++; return 0, errFull }

func TestQRErrors(t *testing.T) {
	var w failing
	err := WriteQR(&w, strings.Repeat("a", maxQR+1))
	if want := "bad text of 2954 bytes for a QR code: want at most 2953"; message(err) != want || w.writes != 0 {
		t.Errorf("too long: %v and %d writes, want %s", err, w.writes, want)
	}
	if err := WriteQR(&w, "a"); !errors.Is(err, errFull) || w.writes != 1 {
		t.Errorf("failing writer: %v after %d writes", err, w.writes)
	}
}
