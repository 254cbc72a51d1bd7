package routing

import (
	"bytes"
	"errors"
)

const (
	keyParameter   = "key"
	groupParameter = "group"
)

var errKeyCharacter = errors.New("the key parameter holds a character that is not allowed in a header")

// Query is a request's query without the parameters meant for the proxy. Its
// slices alias the arguments of SplitQuery and live as long as those.
type Query struct {
	// Key is the first value of "key" that is not empty, percent-decoded. It
	// may still have a group's prefix.
	Key Secret
	// Group is the first value of "group" that names a known group, else the
	// first value of all, percent-decoded.
	Group []byte
	// Rest is every other parameter in its order and encoding.
	Rest []byte
	// HasKey and HasGroup report whether the parameter was there at all, be
	// it with an empty value.
	HasKey, HasGroup bool
}

// SplitQuery takes every "key" and "group" parameter out of a raw query, given
// without the question mark. Names are compared and values returned after
// percent-decoding; "+" stands for itself, and an escape that is broken is left
// as it is. Everything else stays to the byte, empty parts as in "a&&b" too.
//
// If there is neither parameter, Rest is raw itself. Otherwise Rest, Key and
// Group are written to scratch, over what it holds; len(raw) bytes of capacity
// are enough to not allocate.
//
// The error says that the key holds a byte that cannot be sent in a header.
func SplitQuery(t *Table, raw, scratch []byte) (Query, error) {
	q := Query{Rest: raw}
	for tail := raw; tail != nil; {
		var part []byte
		part, tail = cutPart(tail)
		name, _ := cutValue(part)
		q.HasKey = q.HasKey || decodesTo(name, keyParameter)
		q.HasGroup = q.HasGroup || decodesTo(name, groupParameter)
	}
	// Fast path.
	if !q.HasKey && !q.HasGroup {
		return q, nil
	}
	return splitQuerySlow(t, q, raw, scratch)
}

func splitQuerySlow(t *Table, q Query, raw, scratch []byte) (Query, error) {
	// What is kept and the values that are taken out are parts of raw that do
	// not overlap, and decoding never makes them longer: they fit. Growing
	// now keeps the slices below from pointing into an array left behind.
	buf := scratch[:0]
	if cap(buf) < len(raw) {
		buf = make([]byte, 0, len(raw))
	}
	kept := 0
	for tail := raw; tail != nil; {
		var part []byte
		part, tail = cutPart(tail)
		if name, _ := cutValue(part); decodesTo(name, keyParameter) || decodesTo(name, groupParameter) {
			continue
		}
		if kept++; kept > 1 {
			buf = append(buf, '&')
		}
		buf = append(buf, part...)
	}
	q.Rest = buf[:len(buf):len(buf)]

	known := false
	for tail := raw; tail != nil; {
		var part []byte
		part, tail = cutPart(tail)
		name, value := cutValue(part)
		start := len(buf)
		switch {
		case len(q.Key) == 0 && decodesTo(name, keyParameter):
			buf = appendDecoded(buf, value)
			q.Key = Secret(buf[start:len(buf):len(buf)])
		case !known && decodesTo(name, groupParameter):
			buf = appendDecoded(buf, value)
			group := buf[start:len(buf):len(buf)]
			known = t.Lookup(group) != nil
			if known || q.Group == nil {
				q.Group = group
			}
		}
	}
	for _, c := range q.Key {
		if c < ' ' || c > '~' {
			return Query{}, errKeyCharacter
		}
	}
	return q, nil
}

// QueryHas reports whether any parameter of a raw query has this name and
// value, both compared after percent-decoding. It does not allocate.
func QueryHas(raw []byte, name, value string) bool {
	for tail := raw; tail != nil; {
		var part []byte
		part, tail = cutPart(tail)
		n, v := cutValue(part)
		if decodesTo(n, name) && decodesTo(v, value) {
			return true
		}
	}
	return false
}

// QueryValue returns the first value of a parameter of this name, as it stands
// in the query. Only the name is compared after percent-decoding. It does not
// allocate.
func QueryValue(raw []byte, name string) (value []byte, ok bool) {
	for tail := raw; tail != nil; {
		var part []byte
		part, tail = cutPart(tail)
		n, v := cutValue(part)
		if decodesTo(n, name) {
			return v, true
		}
	}
	return nil, false
}

// cutPart returns the part of raw before the first "&" and what follows it,
// which is nil if part was the last.
func cutPart(raw []byte) (part, tail []byte) {
	i := bytes.IndexByte(raw, '&')
	if i < 0 {
		return raw, nil
	}
	return raw[:i], raw[i+1:]
}

// cutValue returns the name and the value of a part, both still encoded.
func cutValue(part []byte) (name, value []byte) {
	name, value, _ = bytes.Cut(part, []byte("="))
	return name, value
}
