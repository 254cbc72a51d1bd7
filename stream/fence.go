package stream

import (
	"bytes"
	"unicode"
)

// fenceMark begins and ends code in Markdown
// (https://spec.commonmark.org/0.31.2/#fenced-code-blocks).
const fenceMark = "```"

// fence returns the length of a code fence that a model opens around the rest
// of a JSON document. ok is false while it may be one.
func (m *matcher) fence(text []byte, final bool) (n int, ok bool) {
	if !m.document {
		return 0, true
	}
	rest := bytes.TrimLeftFunc(text, isBlank)
	if len(rest) < len(fenceMark) && bytes.HasPrefix([]byte(fenceMark), rest) {
		return 0, final
	}
	if !bytes.HasPrefix(rest, []byte(fenceMark)) {
		return 0, true
	}
	rest = bytes.TrimLeft(rest[len(fenceMark):], " \t")
	rest = bytes.TrimLeftFunc(rest, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) })
	rest = bytes.TrimLeft(rest, " \t\r")
	if len(rest) == 0 {
		return 0, final
	}
	if rest[0] != '\n' {
		return 0, true
	}
	return len(text) - len(rest) + 1, true
}

// reopened returns the length of the line with which a model opens the code fence
// once more that the delivered text is in: behind it the code goes on. Any other
// fence is the answer's.
func (m *matcher) reopened(text []byte) int {
	open := openFence(m.delivered)
	rest, ok := bytes.CutPrefix(bytes.TrimLeftFunc(text, isBlank), open)
	if len(open) == 0 || !ok {
		return 0
	}
	rest = bytes.TrimLeft(rest, " \t\r")
	if len(rest) == 0 || rest[0] != '\n' {
		return 0
	}
	return len(text) - len(rest) + 1
}

// openFence returns the line that opened the code fence in which text breaks off,
// without white space around it; nil when there is none, or when it names no
// language: one like it would then be the end of the code.
func openFence(text []byte) (open []byte) {
	for len(text) > 0 {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		if !whole {
			break
		}
		text = rest
		line = bytes.TrimSpace(line)
		if !bytes.HasPrefix(line, []byte(fenceMark)) {
			continue
		}
		info := bytes.TrimLeft(line, "`")
		switch marks := len(line) - len(info); {
		case bytes.IndexByte(info, '`') >= 0:
			// Code in a line.
		case open == nil:
			open = line
		case len(info) == 0 && marks >= len(open)-len(bytes.TrimLeft(open, "`")):
			open = nil
		}
	}
	if len(bytes.TrimLeft(open, "`")) == 0 {
		return nil
	}
	return open
}
