package hostrules

import (
	"bytes"
	"slices"
)

// A set is a set or map with its elements.
type set struct {
	table     *Table
	name      string
	anonymous bool
	interval  bool
	fields    []int // the lengths of the parts of a key, if the set says them
	elements  []element
	// partial: the set has more elements than were read.
	partial bool
}

// An element of a set covers the keys from first to last, or all that no other covers.
type element struct {
	first, last []byte
	catchAll    bool
	data        []byte   // what a map gives
	verdict     *verdict // what a verdict map gives
	end         bool     // while elements are collected: the end of an interval
}

func parseElement(b []byte) (element, error) {
	a, err := parseAttrs(b)
	if err != nil {
		return element{}, err
	}
	flags := a.u32(elemFlags)
	e := element{
		first:    a.value(elemKey),
		last:     a.value(elemKeyEnd),
		catchAll: flags&elemCatchAll != 0,
		end:      flags&elemIntervalEnd != 0,
		data:     a.value(elemData),
	}
	if e.last == nil {
		e.last = e.first
	}
	if v, ok := a.verdict(elemData); ok {
		e.verdict = &v
	}
	return e, nil
}

// finish sorts the elements, and joins the starts and ends of intervals, of which the
// kernel lists each as an element: an end is the first key behind the interval.
func (s *set) finish() {
	slices.SortStableFunc(s.elements, func(a, b element) int {
		if c := bytes.Compare(a.first, b.first); c != 0 {
			return c
		}
		return boolInt(b.end) - boolInt(a.end)
	})
	if !s.interval || len(s.fields) > 1 {
		return
	}
	var whole []element
	for i, e := range s.elements {
		switch {
		case e.catchAll:
			whole = append(whole, e)
		case e.end:
		case len(e.first) == 0:
		case !bytes.Equal(e.first, e.last): // the kernel said where it ends
			whole = append(whole, e)
		default:
			e.last = bytes.Repeat([]byte{0xff}, len(e.first))
			if j := i + 1; j < len(s.elements) && !s.elements[j].catchAll {
				e.last = before(s.elements[j].first)
			}
			whole = append(whole, e)
		}
	}
	s.elements = whole
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// before returns the key before a key.
func before(key []byte) []byte {
	k := slices.Clone(key)
	for i := len(k) - 1; i >= 0; i-- {
		k[i]--
		if k[i] != 0xff {
			break
		}
	}
	return k
}

// matches says whether the element covers a key.
func (e element) matches(key value, fields []int) tri {
	if len(e.first) != len(key.b) || len(e.last) != len(key.b) {
		return maybe
	}
	if len(fields) < 2 || bytes.Equal(e.first, e.last) {
		return key.within(e.first, e.last)
	}
	found, at := yes, 0
	for _, n := range fields {
		if n <= 0 || at+n > len(key.b) {
			return maybe
		}
		found = min(found, key.part(at, n).within(e.first[at:at+n], e.last[at:at+n]))
		at += (n + 3) &^ 3 // each part begins at a register of 4 bytes
	}
	return found
}

// A candidate is an element that may be the one that a key finds.
type candidate struct {
	element
	found tri
}

// find returns the elements that may cover a key, and whether the key is in the set. With
// yes, the only candidate is the one that covers it.
func (s *set) find(key value) (list []candidate, in tri) {
	var rest *element
	for i, e := range s.elements {
		if e.catchAll {
			rest = &s.elements[i]
			continue
		}
		switch found := e.matches(key, s.fields); found {
		case yes:
			return []candidate{{e, yes}}, yes
		case maybe:
			list = append(list, candidate{e, maybe})
		}
	}
	if s.partial || len(list) > 0 {
		in = maybe
	}
	if rest != nil {
		found := maybe
		if in == no {
			found = yes
		}
		// A key that no other element covers is covered by this one.
		return append(list, candidate{*rest, found}), yes
	}
	return list, in
}
