package proxy

import (
	"bytes"
	"cmp"
	"slices"
)

// named are the names of fields that the Connection fields of a message list. One
// may list thousands and have as many fields: in order, each field is looked up,
// where going through all names for each would take the square of the head's size.
type named [][]byte

// with returns n and the names in the value of one more Connection field, which n
// aliases from then on.
func (n named) with(value []byte) named {
	for part := range bytes.SplitSeq(value, []byte(",")) {
		if part = bytes.Trim(part, " \t"); len(part) > 0 {
			n = append(n, part)
		}
	}
	return n
}

// sort puts the names in the order that has asks for.
func (n named) sort() { slices.SortFunc(n, compareNames) }

// has tells whether name is among the names. Case does not count.
func (n named) has(name []byte) bool {
	_, found := slices.BinarySearchFunc(n, name, compareNames)
	return found
}

// compareNames orders names by length, then by their letters in lower case.
func compareNames(a, b []byte) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	for i := range a {
		if c := cmp.Compare(lowerByte(a[i]), lowerByte(b[i])); c != 0 {
			return c
		}
	}
	return 0
}

func lowerByte(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c |= 0x20
	}
	return c
}
