//go:build interop

package totp

import (
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Codes are those of oathtool (Debian's package oathtool), which also accepts the same
// secrets: in groups, and with bits that do not fill a byte.
func TestInteropOathtool(t *testing.T) {
	secrets := []string{
		rfcSHA1, rfcSHA256, sixteen, sixteen[:25] + "Z", strings.Repeat("7", 26), strings.Repeat("A", 32),
		"gezd gnbv gy3t qojq gezd gnbv gy3t qojq",
		"MZXW6YTBOJTG633CMFZGM33PMJQXEZTPN5RGC4TGN5XWEYLSMZXW6YTBOJTG633CMFZGM33PMJQXEZTPN5RGC4TGN5XWEYLSMZXW6YTBOI", // longer than a block
	}
	times := []int64{0, 29, 30, 1111111109, 1234567890, 1789000019, 2147483648, 4294967296, 20000000000}
	for _, alg := range []Algorithm{SHA1, SHA256} {
		for i, text := range secrets {
			s := parse(t, text, alg)
			for _, at := range times {
				out, err := exec.Command("oathtool", "--totp="+alg.String(), "-b", "-d", "8",
					"-N", fmt.Sprintf("@%d", at), text).CombinedOutput()
				if err != nil {
					t.Fatalf("oathtool: %v: %s", err, out)
				}
				want := strings.TrimSpace(string(out))
				if got := fmt.Sprintf("%08d", s.Code(Step(time.Unix(at, 0)))); got != want {
					t.Errorf("%v, secret %d, time %d: %s, oathtool says %s", alg, i, at, got, want)
				}
			}
		}
	}
}

// enlarge returns the picture with its width and height multiplied by factor.
func enlarge(picture *image.Gray, factor int) *image.Gray {
	large := image.NewGray(image.Rect(0, 0, factor*picture.Rect.Dx(), factor*picture.Rect.Dy()))
	for y := range large.Rect.Dy() {
		for x := range large.Rect.Dx() {
			large.SetGray(x, y, picture.GrayAt(x/factor, y/factor))
		}
	}
	return large
}

// zbarimg (Debian's package zbar-tools) reads a drawing as a terminal shows it.
func TestInteropZbarimg(t *testing.T) {
	for name, text := range qrTexts(t) {
		file, err := os.Create(filepath.Join(t.TempDir(), "drawing.png"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		picture := undraw(t, draw(t, text))
		if err := png.Encode(file, enlarge(picture, 6)); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("zbarimg", "--quiet", "--raw", "--nodbus", file.Name()).Output()
		if err != nil {
			t.Errorf("%s: zbarimg: %v", name, err)
			continue
		}
		if got := strings.TrimSuffix(string(out), "\n"); got != text {
			t.Errorf("%s: scanned %q, want %q", name, got, text)
		}
	}
}
