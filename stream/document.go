package stream

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
