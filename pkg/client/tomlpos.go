package client

import (
	"errors"
	"strings"

	"github.com/BurntSushi/toml"
)

// text returns the string a key has.
func (d *hostsDecoder) text(key toml.Key, example string) (string, error) {
	s, ok := d.decode(key).(string)
	if !ok {
		return "", d.errorAt(key, "", "%s is not text in quotes: want %s", key[len(key)-1], example)
	}
	return s, nil
}

// decode returns the value of a key as toml represents it.
func (d *hostsDecoder) decode(key toml.Key) any {
	var v any
	if err := d.meta.PrimitiveDecode(d.primitive(key), &v); err != nil {
		panic("client: an empty interface holds any value: " + err.Error())
	}
	return v
}

// primitive finds a key of the file that the decoder has seen.
func (d *hostsDecoder) primitive(key toml.Key) toml.Primitive {
	p := d.top[key[0]]
	for _, name := range key[1:] {
		var table map[string]toml.Primitive
		if d.meta.PrimitiveDecode(p, &table) != nil {
			break // an array of tables: as near as it gets
		}
		p = table[name]
	}
	return p
}

// errorAt is an error about the value of a key.
func (d *hostsDecoder) errorAt(key toml.Key, hint, format string, args ...any) error {
	return d.errorAtOffset(d.offset(key), hint, format, args...)
}

// errorAtKey is an error about the key itself, which stands before its value.
func (d *hostsDecoder) errorAtKey(key toml.Key, hint, format string, args ...any) error {
	value := d.offset(key)
	begin := strings.LastIndexByte(d.source[:value], '\n') + 1
	if i := strings.LastIndex(d.source[begin:value], key[len(key)-1]); i >= 0 {
		value = begin + i
	}
	return d.errorAtOffset(value, hint, format, args...)
}

// errorAtText is an error about a string inside the value of a key.
func (d *hostsDecoder) errorAtText(key toml.Key, s, format string, args ...any) error {
	value := d.offset(key)
	for _, quote := range []string{`"`, `'`} {
		if i := strings.Index(d.source[value:], quote+s+quote); i >= 0 {
			return d.errorAtOffset(value+i, "", format, args...)
		}
	}
	return d.errorAtOffset(value, "", format, args...) // written with escapes
}

func (d *hostsDecoder) errorAtOffset(offset int, hint, format string, args ...any) error {
	line, column := d.lineColumn(offset)
	return fileError(d.path, line, column, hint, format, args...)
}

// lineColumn counts both from 1, the column in bytes. toml's own columns are
// off in all lines but the first, and its offsets can lie just outside of the
// file.
func (d *hostsDecoder) lineColumn(offset int) (line, column int) {
	before := d.source[:max(0, min(offset, len(d.source)))]
	return 1 + strings.Count(before, "\n"), len(before) - strings.LastIndexByte(before, '\n')
}

// offset finds the value of a key in the file. The toml package knows these
// places and gives them away in one way only: the error of an Unmarshaler.
func (d *hostsDecoder) offset(key toml.Key) int {
	var at toml.ParseError
	errors.As(d.meta.PrimitiveDecode(d.primitive(key), unmarshalNothing{}), &at)
	if d.meta.Type(key...) == "Array" {
		return max(0, at.Position.Start-1) // it counts from behind the bracket
	}
	return at.Position.Start
}

type unmarshalNothing struct{}

func (unmarshalNothing) UnmarshalTOML(any) error { return errors.New("") }
