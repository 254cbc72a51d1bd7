package proxy

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

const (
	// maxConfigFile bounds the bytes of a configuration file, and maxConfigTokens
	// the values and signs in it: two thousand clients, each with all its members.
	maxConfigFile   = 1 << 20
	maxConfigTokens = 1 << 16
	// maxConfigDepth bounds how deep values may lie in brackets, maxConfigColumn
	// how far in names and items may begin outside of them, and maxConfigName how
	// long a name may be. The parser keeps the whole path of each node: without
	// these bounds its memory grows with the square of the file's size.
	maxConfigDepth  = 20
	maxConfigColumn = 200
	maxConfigName   = 500
)

// checkTokens says what of a file is larger than any configuration, before it is
// parsed. The place is "" or ":line:column".
func checkTokens(tokens token.Tokens) (place string, err error) {
	if len(tokens) > maxConfigTokens {
		return "", fmt.Errorf("the file holds more than %d values and signs", maxConfigTokens)
	}
	depth := 0
	for _, t := range tokens {
		column := 0
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.SequenceEntryType, token.MappingKeyType:
			column = t.Position.Column
		case token.MappingValueType:
			name := t.Prev
			if name == nil {
				continue
			}
			if len(name.Value) > maxConfigName {
				return tokenPlace("", name), fmt.Errorf("a name is longer than %d bytes", maxConfigName)
			}
			column = name.Position.Column
		}
		if depth > maxConfigDepth || depth <= 0 && column > maxConfigColumn {
			return tokenPlace("", t), fmt.Errorf("the file is nested too deeply: at most %d brackets, and %d columns", maxConfigDepth, maxConfigColumn)
		}
	}
	return "", nil
}
