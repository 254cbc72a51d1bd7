package stream

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
)

// documentEnd finds the end of a JSON document in text that comes in pieces.
// It follows brackets and strings only; whether the document is valid is
// asked when it is whole.
type documentEnd struct {
	depth    int
	inString bool
	escaped  bool
	scalar   bool // a number or a literal has begun, outside of any bracket
	over     bool
}

// take takes the next piece and returns how much of it belongs to the
// document. What follows a document, such as the end of a code fence, does
// not.
func (d *documentEnd) take(piece []byte) int {
	for i, c := range piece {
		if d.over || d.afterScalar(c) {
			d.over = true
			return i
		}
		d.byte(c)
	}
	return len(piece)
}

// afterScalar tells whether c ends a document that is a number or a literal.
func (d *documentEnd) afterScalar(c byte) bool {
	return d.scalar && (c <= ' ' || c == '`')
}

func (d *documentEnd) byte(c byte) {
	switch {
	case d.escaped:
		d.escaped = false
	case d.inString:
		d.escaped = c == '\\'
		d.inString = c != '"'
		d.over = !d.inString && d.depth == 0
	case c == '"':
		d.inString = true
	case c == '{' || c == '[':
		d.depth++
	case c == '}' || c == ']':
		d.depth--
		d.over = d.depth <= 0
	case c > ' ':
		d.scalar = d.depth == 0
	}
}

// validDocument tells whether raw, the inside of a JSON string, stands for one
// JSON text. It is as strict as the parsers of clients are: fastjson lets control
// characters through in strings that have an escape.
func validDocument(raw []byte) bool { return json.Valid(AppendUnescaped(nil, raw)) }

// beginsDocument tells whether a JSON text may begin with b.
func beginsDocument(b []byte) bool {
	d := json.NewDecoder(bytes.NewReader(b))
	var whole json.RawMessage
	if err := d.Decode(&whole); err != nil {
		return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
	}
	return errors.Is(d.Decode(&whole), io.EOF)
}

// fitsMost is how long a document may be, in bytes, that is gone through for each
// event of a continuation: more would hold up whoever else is served.
const fitsMost = 64 << 10

// fits tells whether text, which is more than white space, may go on with the
// document that was delivered. Of a long one that is not told.
func (m *matcher) fits(text []byte) bool {
	return len(m.delivered) <= fitsMost && len(bytes.TrimSpace(text)) > 0 && beginsDocument(slices.Concat(m.delivered, text))
}

// goesOnWith tells whether text goes on with the document that was delivered: what
// follows it is then a part of the document too, and no repeat. Words in a string
// may be anything; only one that ends it goes on for sure.
//
// What was told of so much text is kept: the same is asked with each event that
// comes behind it.
func (m *matcher) goesOnWith(text []byte) bool {
	if m.told == len(text)+1 {
		return m.goes
	}
	var d documentEnd
	d.take(m.delivered)
	m.told = len(text) + 1
	m.goes = !(d.inString && bytes.IndexByte(text, '"') < 0) && beginsDocument(slices.Concat(m.delivered, text))
	return m.goes
}
