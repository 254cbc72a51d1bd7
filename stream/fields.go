package stream

import "bytes"

// field is a member of an object: its name, unescaped, and its value.
type field struct {
	name  string
	value []byte
}

// fields are the members of an object, in the order in which they came first.
type fields []field

func (f fields) get(name string) []byte {
	for i := range f {
		if f[i].name == name {
			return f[i].value
		}
	}
	return nil
}

// set makes a copy of value the member's.
func (f *fields) set(name, value []byte) {
	for i := range *f {
		if (*f)[i].name == string(name) {
			(*f)[i].value = append((*f)[i].value[:0:0], value...)
			return
		}
	}
	*f = append(*f, field{string(name), bytes.Clone(value)})
}

func (f *fields) drop(name string) {
	for i := range *f {
		if (*f)[i].name == name {
			*f = append((*f)[:i], (*f)[i+1:]...)
			return
		}
	}
}

// len returns the bytes of the values.
func (f fields) len() (n int) {
	for i := range f {
		n += len(f[i].value)
	}
	return n
}

// append appends the members, each behind a comma unless an object begins.
func (f fields) append(dst []byte) []byte {
	for i := range f {
		dst = append(appendName(dst, []byte(f[i].name)), f[i].value...)
	}
	return dst
}

// fieldsOf returns the members of an object. The values alias it.
func fieldsOf(object []byte) (f fields) {
	walkMembers(object, 0, func(name []byte, v span) {
		f = append(f, field{string(name), v.of(object)})
	})
	return f
}

// appendObject appends the members as an object.
func (f fields) appendObject(dst []byte) []byte {
	return append(f.append(append(dst, '{')), '}')
}

// items returns the elements of an array, which alias it; none for anything
// else.
func items(list []byte) (all [][]byte) {
	i, some := arrayStart(list, 0)
	for some && i != bad {
		from := i
		if i = skipValue(list, i, 0); i == bad {
			return all
		}
		all = append(all, list[from:i])
		i, some = nextItem(list, i, ']')
	}
	return all
}

func appendItems(dst []byte, all [][]byte) []byte {
	dst = append(dst, '[')
	dst = append(dst, bytes.Join(all, []byte{','})...)
	return append(dst, ']')
}
