package upstream

import "bytes"

// arrayForm is the form of Array. Google begins each element but the first on a
// line that a comma stands in front of.
type arrayForm struct{ open bool }

func (f *arrayForm) event(a *answer, e event) error {
	a.event = f.append(a, e)
	return a.body(append(a.event, '\n'))
}

func (f *arrayForm) torn(a *answer, e event) error {
	a.event = tear(f.append(a, e), e.text)
	return a.body(a.event)
}

// append encodes e as an element, without its line's end.
func (f *arrayForm) append(a *answer, e event) []byte {
	dst := a.event[:0]
	if f.open {
		dst = append(dst, ",\r\n"...)
	} else {
		dst = append(dst, '[')
	}
	f.open = true
	head := len(dst)
	dst = a.reply.append(dst, e)
	data := bytes.TrimSuffix(bytes.TrimPrefix(dst[head:], []byte("data: ")), []byte(a.reply.eol))
	return append(dst[:head], data...)
}

// end closes the array. One that has no element and no other bytes is empty.
func (f *arrayForm) end(a *answer, whole bool) error {
	switch {
	case !whole || !f.open && a.begun:
		return nil
	case !f.open:
		return a.body([]byte("[]"))
	}
	return a.body([]byte("]"))
}

func (f *arrayForm) failure(body string) string { return "[" + body + "]" }
