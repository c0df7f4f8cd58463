package packet

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// walk returns every option, and the bytes from the first malformed one on.
func walk(o Options) (all []Option, rest Options) {
	opt, rest, ok := o.Next()
	for ok {
		all = append(all, opt)
		opt, rest, ok = rest.Next()
	}
	return all, rest
}

func TestOptions(t *testing.T) {
	tests := []struct {
		name    string
		options Options
		want    []Option
		rest    Options
	}{
		{"none", nil, nil, nil},
		{"Linux", linuxOptions, []Option{
			{OptionMSS, []byte{5, 180}}, {OptionSACKPermitted, nil},
			{OptionTimestamps, []byte{0, 0, 0, 1, 0, 0, 0, 0}}, {OptionNOP, nil}, {OptionWindowScale, []byte{10}},
		}, nil},
		{"padding behind the end", Options{1, 0, 7, 8}, []Option{{OptionNOP, nil}, {OptionEnd, []byte{7, 8}}}, nil},
		{"end without padding", Options{0}, []Option{{OptionEnd, nil}}, nil},
		{"unknown kind", Options{254, 4, 1, 2}, []Option{{254, []byte{1, 2}}}, nil},
		{"length of two", Options{34, 2, 1}, []Option{{OptionFastOpen, nil}, {OptionNOP, nil}}, nil},
		{"known kind, wrong length", Options{2, 3, 9, 1}, []Option{{OptionMSS, []byte{9}}, {OptionNOP, nil}}, nil},
		{"no length byte", Options{1, 2}, []Option{{OptionNOP, nil}}, Options{2}},
		{"length zero", Options{1, 2, 0, 1}, []Option{{OptionNOP, nil}}, Options{2, 0, 1}},
		{"length one", Options{2, 1, 1}, nil, Options{2, 1, 1}},
		{"past the end", Options{1, 8, 10, 0}, []Option{{OptionNOP, nil}}, Options{8, 10, 0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, rest := walk(test.options)
			if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.rest, rest, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("rest (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWalkingOptionsDoesNotAllocate(t *testing.T) {
	options := Options(linuxOptions)
	count := 0
	n := testing.AllocsPerRun(100, func() {
		for _, rest, ok := options.Next(); ok; _, rest, ok = rest.Next() {
			count++
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
	if count%5 != 0 {
		t.Errorf("%d options walked, want a multiple of 5", count)
	}
}
