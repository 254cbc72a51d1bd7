package proxy

import "bytes"

// What a client names may hold what it should not: a key behind a "&" that was
// meant to be a "?", or in place of the model. The log names no more than names.

// more stands for what is left out.
const more = "…"

// beforeParameters returns the part of a path before what looks like parameters,
// encoded or not.
func beforeParameters(path []byte) []byte {
	for i, c := range path {
		switch c {
		case '&', '=', ';':
			return path[:i]
		case '%':
			switch string(lower(make([]byte, 0, 3), path[i:])) {
			case "%26", "%3d", "%3b", "%3f":
				return path[:i]
			}
		}
	}
	return path
}

// loggedName returns the name of a model or an action as the log has it: up to
// the first byte that no name has, and nothing of what begins like a key of the
// API.
func loggedName(name []byte) string {
	name = name[:min(len(name), maxLogged)]
	if i := bytes.IndexFunc(name, func(r rune) bool { return r >= 0x80 || !isNameByte[r] }); i >= 0 {
		return loggedName(name[:i]) + more
	}
	if i := bytes.Index(name, []byte("AIza")); i >= 0 {
		return string(name[:i]) + more
	}
	return string(name)
}

// loggedMethod returns a method as the log has it.
func loggedMethod(method []byte) string {
	n := 0
	for n < len(method) && n < 20 && (method[n] >= 'A' && method[n] <= 'Z' || method[n] == '-') {
		n++
	}
	if n < len(method) {
		return string(method[:n]) + more
	}
	return string(method)
}

// isNameByte marks what names of models consist of, with their prefixes and
// versions.
var isNameByte = func() (t [0x80]bool) {
	for _, c := range "-._/@:+~%0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()
