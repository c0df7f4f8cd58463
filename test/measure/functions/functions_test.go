package functions

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestInFile(t *testing.T) {
	const source = `package p

// Add says what it does.
func Add(a, b int, _ string) int {
	// Why it does it,
	// in two lines.
	c := a + b // and beside code

	return c
}

func (m *Map[K, V]) Len() int { return 0 }

func (l list) each(func(int, int), ...int) {
	go func() {
		/* inside
		   a literal */
	}()
}

func assembly()
`
	got, err := inFile("p.go", source)
	if err != nil {
		t.Fatal(err)
	}
	want := []Function{
		{Name: "Add", File: "p.go", Line: 4, Doc: "Add says what it does.\n", Lines: 7, Body: 5, Comments: 3, Parameters: 3},
		{Name: "(*Map).Len", File: "p.go", Line: 12, Lines: 1},
		{Name: "list.each", File: "p.go", Line: 14, Lines: 6, Body: 4, Comments: 2, Parameters: 2},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestInFileRefusesWhatIsNotGo(t *testing.T) {
	if got, err := inFile("p.go", "package p\nfunc ("); err == nil || got != nil {
		t.Errorf("got %v, %v, want an error alone", got, err)
	}
}
