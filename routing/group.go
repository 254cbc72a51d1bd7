package routing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxGroupName bounds a group's name, in bytes. It is at least the length of
// the longest DNS label, so that any label can name a group.
const maxGroupName = 64

// Group is a named upstream target.
type Group struct {
	// Name is what clients call the group. It holds no colon.
	Name string
	// Path goes between the upstream's base path and the client's path. It is
	// empty, or begins with "/" and does not end with it.
	Path string
}

// Table is the set of known groups. It does not change once made and is safe
// for concurrent use.
type Table struct {
	byName map[string]*Group
	// byLabel is keyed by the names in lower case, for host names.
	byLabel map[string]*Group
	names   []string
	def     *Group
}

// NewTable returns the table of the given groups, a map from name to path, and
// def as the group of requests that name none. The error lists all mistakes,
// one a line, each with the group it is about.
func NewTable(groups map[string]string, def string) (*Table, error) {
	t := &Table{
		byName:  make(map[string]*Group, len(groups)),
		byLabel: make(map[string]*Group, len(groups)),
		names:   make([]string, 0, len(groups)),
	}
	for name := range groups {
		t.names = append(t.names, name)
	}
	slices.Sort(t.names)

	var errs []error
	for _, name := range t.names {
		if !validGroupName(name) {
			errs = append(errs, fmt.Errorf("group %s: a name is 1 to %d letters, digits, dots, hyphens and underscores, "+
				"and begins with a letter or a digit", quoteName(name), maxGroupName))
		}
		path := strings.TrimRight(groups[name], "/")
		if err := checkPrefix(path); err != nil {
			errs = append(errs, fmt.Errorf("group %s: %w", quoteName(name), err))
		}
		g := &Group{Name: name, Path: path}
		t.byName[name] = g
		// Names that differ in case alone are one label. The last in order
		// takes it, which is the one with the most lower-case letters.
		t.byLabel[strings.ToLower(name)] = g
	}
	t.def = t.byName[def]
	if t.def == nil {
		errs = append(errs, fmt.Errorf("group %s: the default group is not one of the known groups", quoteName(def)))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return t, nil
}

// Default returns the group of requests that name no known group.
func (t *Table) Default() *Group { return t.def }

// Lookup returns the group of exactly this name, or nil.
func (t *Table) Lookup(name []byte) *Group { return t.byName[string(name)] }

// Names returns the names of all groups in order. The caller may keep it.
func (t *Table) Names() []string { return slices.Clone(t.names) }

func validGroupName(name string) bool {
	if name == "" || len(name) > maxGroupName || !isAlphanumeric(name[0]) {
		return false
	}
	for i := 1; i < len(name); i++ {
		if c := name[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// checkPrefix checks a path from the configuration, with the slashes at its end
// already gone. It is stricter than CheckPath, because nobody but the operator
// has to be pleased and a mistake found here is found before the first request.
func checkPrefix(path string) error {
	if path == "" {
		return nil
	}
	for i := range len(path) {
		if path[i] >= 0x80 {
			return errPathNotASCII
		}
	}
	return CheckPath([]byte(path))
}

// quoteName quotes a name for an error message, cut to a bearable length.
func quoteName(name string) string {
	const limit = 40
	if len(name) > limit {
		return fmt.Sprintf("%+q...", name[:limit])
	}
	return fmt.Sprintf("%+q", name)
}

func isAlphanumeric(c byte) bool { return isDigit(c) || isLetter(c) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
