package stream

import (
	"bytes"
	"strconv"
)

// mergeObjects returns old with the members of new: lists are united, anything
// else is new's.
func mergeObjects(old, new []byte) []byte {
	return combine(old, new, func(_ string, a, b []byte) []byte { return union(items(a), items(b)) })
}

// mergeGrounding merges two groundingMetadata of one answer
// (https://ai.google.dev/api/generate-content#groundingmetadata). Supports name
// chunks by their place in groundingChunks: where the two lists differ, the new
// one goes behind the old, and the places of its supports move with it.
func mergeGrounding(old, new []byte) []byte {
	a, b := items(fieldsOf(old).get("groundingChunks")), items(fieldsOf(new).get("groundingChunks"))
	shift, chunks := 0, b
	switch {
	case begins(a, b):
		chunks = a
	case !begins(b, a):
		shift, chunks = len(a), append(a, b...)
	}
	return combine(old, new, func(name string, was, is []byte) []byte {
		switch name {
		case "groundingChunks":
			return appendItems(nil, chunks)
		case "groundingSupports":
			var moved [][]byte
			for _, s := range items(is) {
				moved = append(moved, movedSupport(s, shift))
			}
			return union(items(was), moved)
		}
		return union(items(was), items(is))
	})
}

// begins tells whether list begins with the elements of first.
func begins(list, first [][]byte) bool {
	if len(first) > len(list) {
		return false
	}
	for i := range first {
		if !bytes.Equal(first[i], list[i]) {
			return false
		}
	}
	return true
}

// movedSupport returns a groundingSupport whose groundingChunkIndices are
// higher by shift.
func movedSupport(support []byte, shift int) []byte {
	if shift == 0 || support[0] != '{' {
		return support
	}
	f := fieldsOf(support)
	var moved [][]byte
	for _, n := range items(f.get("groundingChunkIndices")) {
		if i, ok := atoi(n); ok {
			n = strconv.AppendInt(nil, i+int64(shift), 10)
		}
		moved = append(moved, n)
	}
	if len(moved) > 0 {
		f.set([]byte("groundingChunkIndices"), appendItems(nil, moved))
	}
	return f.appendObject(nil)
}

// combine returns old with the members of new. lists joins two lists of one
// name; of anything else the new one stands.
func combine(old, new []byte, lists func(name string, a, b []byte) []byte) []byte {
	f := fieldsOf(old)
	walkMembers(new, 0, func(name []byte, v span) {
		value := v.of(new)
		if was := f.get(string(name)); was != nil && was[0] == '[' && value[0] == '[' {
			value = lists(string(name), was, value)
		} else if was == nil && string(name) == "groundingSupports" {
			value = lists(string(name), []byte("[]"), value)
		}
		f.set(name, value)
	})
	return f.appendObject(nil)
}

// union returns the list a and those elements of b that are not in it.
func union(a, b [][]byte) []byte {
	all := a
	for _, x := range b {
		if !contains(a, x) {
			all = append(all, x)
		}
	}
	return appendItems(nil, all)
}

func contains(list [][]byte, x []byte) bool {
	for _, y := range list {
		if bytes.Equal(x, y) {
			return true
		}
	}
	return false
}
