package routing

import (
	"bytes"
	"fmt"
	"log/slog"
)

const redacted = "REDACTED"

// Secret is a credential. Every way of printing it gives "REDACTED", or
// nothing if it is empty; the bytes themselves come out by conversion alone,
// []byte(s).
//
// Package fmt cannot call methods on unexported struct fields: a struct that
// holds a Secret in one must not be printed as a whole.
type Secret []byte

// String returns "REDACTED", or "" if the secret is empty.
func (s Secret) String() string {
	if len(s) == 0 {
		return ""
	}
	return redacted
}

// GoString returns what String returns.
func (s Secret) GoString() string { return s.String() }

// Format prints what String returns, whatever the verb and the flags are.
func (s Secret) Format(f fmt.State, _ rune) {
	// A failed write is the printer's to report; there is nothing to do here.
	_, _ = f.Write([]byte(s.String()))
}

// MarshalText returns what String returns. The error is always nil.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// SplitKey takes the group prefix off an API key: "group-a:KEY" gives the group
// group-a and KEY. Only the first colon separates, so that the rest may hold
// colons of its own. If there is no colon, or no group of that name, the group
// is nil and rest is the whole key. rest aliases key.
func (t *Table) SplitKey(key []byte) (g *Group, rest []byte) {
	i := bytes.IndexByte(key, ':')
	if i < 0 {
		return nil, key
	}
	g = t.Lookup(key[:i])
	if g == nil {
		return nil, key
	}
	return g, key[i+1:]
}
