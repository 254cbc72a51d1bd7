package proxy

import (
	"errors"
	"slices"
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// Sections are the parts of the file that are no settings: they have no
// environment variable.
const (
	groupsSection  = "groups"
	clientsSection = "clients"
)

var sectionNames = []string{groupsSection, clientsSection}

func isSection(key string) bool { return slices.Contains(sectionNames, key) }

// section is a section of a file, or a mapping within one.
type section struct {
	l    *loader
	file string
	key  string
	node ast.Node
	at   ast.Node // what is named where node has no place
}

// fail records a mistake at a node.
func (s *section) fail(at ast.Node, format string, args ...any) {
	if at == nil || yamlToken(at) == nil {
		at = s.at
	}
	s.l.fail(yamlPlace(s.file, at)+": "+s.key, format, args...)
}

// member is a member of a mapping in a section. The tables of members drive the
// reading of the file and its JSON Schema.
type member[T any] struct {
	name    string
	meaning string
	// kind is the member's type as JSON Schema has it.
	kind schema
	// load reads the value into the mapping's struct. The error follows the
	// member's name.
	load func(s *section, into *T, value ast.Node) error
}

// loadMembers reads a mapping by its table. Unknown members go to other, which
// may be nil; it tells whether it took one.
func loadMembers[T any](s *section, table []member[T], into *T, other func(key string, pair *ast.MappingValueNode) bool) (origin map[string]string) {
	pairs, ok := yamlPairs(s.node)
	if !ok {
		s.fail(s.node, "must be a mapping")
		return nil
	}
	origin = map[string]string{"": yamlPlace(s.file, s.at)}
	for _, pair := range pairs {
		key, ok := yamlKey(pair.Key)
		if !ok {
			s.fail(pair.Key, "the name of a member must be plain text")
			continue
		}
		if _, twice := origin[key]; twice {
			s.fail(pair.Key, "%s is given twice", settingValue(key))
			continue
		}
		origin[key] = yamlPlace(s.file, pair.Key)
		i := slices.IndexFunc(table, func(m member[T]) bool { return m.name == key })
		if i < 0 {
			if other == nil || !other(key, pair) {
				s.fail(pair.Key, "%s is not a member; there are %s", settingValue(key), memberNames(table))
			}
			continue
		}
		if err := table[i].load(s, into, pair.Value); err != nil && !errors.Is(err, errSaid) {
			at := pair.Value
			if yamlToken(at) == nil {
				at = pair.Key
			}
			s.fail(at, "%s: %w", key, err)
		}
	}
	return origin
}

// errSaid stands for mistakes that were recorded already.
var errSaid = errors.New("said")

func memberNames[T any](table []member[T]) string {
	names := ""
	for i, m := range table {
		if i > 0 {
			names += ", "
		}
		names += m.name
	}
	return names
}

// Loaders of single values.

func loadText[T any](field func(*T) *string) func(*section, *T, ast.Node) error {
	return func(_ *section, into *T, value ast.Node) (err error) {
		*field(into), err = yamlScalar(value)
		return err
	}
}

func loadNumber[T any](field func(*T) *int, low, high int) func(*section, *T, ast.Node) error {
	return func(_ *section, into *T, value ast.Node) error {
		text, err := yamlScalar(value)
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || int(n) < low || int(n) > high {
			return errors.New(settingValue(text) + ": must be a whole number from " + strconv.Itoa(low) + " to " + strconv.Itoa(high))
		}
		*field(into) = int(n)
		return nil
	}
}

// loadSome is loadList for a list that narrows what a client may do. An empty one
// is a mistake: left out it would allow everything, and may have been meant to
// allow nothing.
func loadSome[T any](field func(*T) *[]string) func(*section, *T, ast.Node) error {
	load := loadList(field)
	return func(s *section, into *T, value ast.Node) error {
		if err := load(s, into, value); err != nil {
			return err
		}
		if len(*field(into)) == 0 {
			return errors.New("must hold at least one; who may use all has no such list, and who may use none is no client")
		}
		return nil
	}
}

// loadList reads a list of texts, or a single one.
func loadList[T any](field func(*T) *[]string) func(*section, *T, ast.Node) error {
	return func(s *section, into *T, value ast.Node) error {
		items, ok := value.(*ast.SequenceNode)
		if !ok {
			text, err := yamlScalar(value)
			*field(into) = []string{text}
			return err
		}
		for i, item := range items.Values {
			text, err := yamlScalar(item)
			if err != nil {
				s.fail(item, "item %d: %w", i+1, err)
				return errSaid
			}
			*field(into) = append(*field(into), text)
		}
		return nil
	}
}
