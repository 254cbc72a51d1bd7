package proxy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	byteOrderMark = "\uFEFF"
	// maxConfigTokens is enough for a mapping of a thousand groups.
	maxConfigTokens = 4096
)

// What a YAML file may not hold.
var (
	errYAMLAlias = errors.New(`anchors, aliases and tags are not supported; put a value that begins with "*", "&" or "!" in quotes`)
	errYAMLNull  = errors.New(`has no value; write "" for the empty one`)
)

// loadFile sets what the YAML file of the given path holds. The file is read as
// a tree and not decoded into a struct, so that each mistake can name its line
// and none hides the next.
func (l *loader) loadFile(path string) {
	name := strings.Trim(strconv.Quote(path), `"`)
	data, err := readConfigFile(path)
	if err != nil {
		l.fail(name, "%w", err)
		return
	}
	l.loadYAML(name, data)
}

func (l *loader) loadYAML(name string, data []byte) {
	file, err := parseYAML(data)
	if err != nil {
		l.fail(name+yamlPosition(err), "%s", yamlMessage(err))
		return
	}
	var pairs []*ast.MappingValueNode
	for i, doc := range file.Docs {
		if i > 0 {
			line := 0
			if doc.Start != nil {
				line = doc.Start.Position.Line
			} else if doc.Body != nil {
				line = yamlLine(doc.Body)
			}
			l.fail(yamlPlace(name, line), "the file must hold one document; this is the beginning of another one")
			return
		}
		body, ok := yamlPairs(doc.Body)
		if !ok {
			l.fail(yamlPlace(name, yamlLine(doc.Body)), "the file must be a mapping of setting names to values")
			return
		}
		pairs = body
	}
	first := map[string]int{}
	for _, pair := range pairs {
		l.loadPair(name, pair, first)
	}
}

// loadPair sets one setting. first holds the lines of those that were before.
func (l *loader) loadPair(name string, pair *ast.MappingValueNode, first map[string]int) {
	line := yamlLine(pair.Key)
	key, ok := yamlKey(pair.Key)
	if !ok {
		l.fail(yamlPlace(name, line), "the name of a setting must be plain text")
		return
	}
	s := settingByKey(key)
	if s == nil {
		hint := ""
		if near := nearestKey(key); near != "" {
			hint = "; did you mean " + near + "?"
		}
		l.fail(yamlPlace(name, line), "%s is not a setting%s", settingValue(key), hint)
		return
	}
	origin := yamlPlace(name, line) + ": " + key
	if before, twice := first[key]; twice {
		l.fail(origin, "given twice; the first is in line %d", before)
		l.bad[s.name] = true
		return
	}
	first[key] = line
	text, err := yamlText(pair.Value, s.shape)
	if err != nil {
		l.fail(origin, "%w", err)
		l.bad[s.name] = true
		return
	}
	l.set(s, origin, text)
}

// yamlText returns a setting's value as one would write it in the environment.
func yamlText(node ast.Node, allowed shape) (string, error) {
	if items, ok := node.(*ast.SequenceNode); ok && allowed == shapeList {
		texts := make([]string, len(items.Values))
		for i, item := range items.Values {
			text, err := yamlScalar(item)
			if err != nil {
				return "", fmt.Errorf("item %d: %w", i+1, err)
			}
			texts[i] = text
		}
		return strings.Join(texts, ","), nil
	}
	if allowed != shapeMapping {
		return yamlScalar(node)
	}
	pairs, ok := yamlPairs(node)
	if !ok || node == nil || node.Type() == ast.NullType {
		return yamlScalar(node)
	}
	groups := map[string]string{}
	for _, pair := range pairs {
		group, ok := yamlKey(pair.Key)
		if !ok {
			return "", fmt.Errorf("line %d: the name of a group must be plain text", yamlLine(pair.Key))
		}
		if _, twice := groups[group]; twice {
			return "", fmt.Errorf("line %d: group %s is given twice", yamlLine(pair.Key), settingValue(group))
		}
		path, err := yamlScalar(pair.Value)
		if err != nil {
			return "", fmt.Errorf("line %d: group %s: %w", yamlLine(pair.Key), settingValue(group), err)
		}
		groups[group] = path
	}
	return formatGroups(groups), nil
}

// yamlScalar returns a single value as it was written. The type YAML gives to
// it does not count: the setting knows its own.
func yamlScalar(node ast.Node) (string, error) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, nil
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return "", errYAMLNull
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		return "", errYAMLAlias
	case *ast.SequenceNode:
		return "", errors.New("must be a single value, not a list")
	default:
		return "", errors.New("must be a single value, not a mapping")
	}
}

// yamlPairs returns the pairs of a mapping, none for an empty document, and
// false for anything else.
func yamlPairs(node ast.Node) ([]*ast.MappingValueNode, bool) {
	switch n := node.(type) {
	case nil, *ast.NullNode, *ast.CommentGroupNode:
		return nil, true
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	default:
		return nil, false
	}
}

// yamlKey returns the text of a plain or quoted key. A number is its digits,
// since a group may be called 1.
func yamlKey(node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode:
		return n.GetToken().Value, true
	default:
		return "", false
	}
}

// parseYAML guards the program's start against a parser that gives up by panic.
func parseYAML(data []byte) (file *ast.File, err error) {
	defer func() {
		if recover() != nil {
			file, err = nil, errors.New("the file is not valid YAML")
		}
	}()
	tokens := lexer.Tokenize(strings.TrimPrefix(string(data), byteOrderMark))
	// The parser keeps the whole path of each node: memory grows with the
	// square of the depth, which the number of tokens bounds.
	if len(tokens) > maxConfigTokens {
		return nil, errors.New("the file holds too many values")
	}
	// Duplicates are found by loadPair, which goes on after them.
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// yamlMessage returns a parser's message alone. Its usual form is an excerpt of
// the file over several lines.
func yamlMessage(err error) string {
	message := err.Error()
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		message = syntax.GetMessage()
	}
	if strings.Contains(message, "alias") || strings.Contains(message, "anchor") {
		return errYAMLAlias.Error()
	}
	const limit = 120
	message = strings.Trim(strconv.Quote(message), `"`)
	message = strings.ReplaceAll(message, `\"`, `"`)
	return message[:min(len(message), limit)]
}

// yamlPosition returns ":line:column" of a parser's error, if it has one.
func yamlPosition(err error) string {
	var syntax yaml.Error
	if !errors.As(err, &syntax) {
		return ""
	}
	t := syntax.GetToken()
	if t == nil || t.Position == nil {
		return ""
	}
	return fmt.Sprintf(":%d:%d", t.Position.Line, t.Position.Column)
}

func yamlPlace(name string, line int) string {
	if line == 0 {
		return name
	}
	return name + ":" + strconv.Itoa(line)
}

// yamlLine returns the line of a node, or 0.
func yamlLine(node ast.Node) int {
	var t *token.Token
	if node != nil {
		t = node.GetToken()
	}
	if t == nil || t.Position == nil {
		return 0
	}
	return t.Position.Line
}

func settingByKey(key string) *setting {
	for i := range settingTable {
		if s := &settingTable[i]; s.key() == key {
			return s
		}
	}
	return nil
}

// nearestKey returns the setting that a misspelt key most likely means, or "".
func nearestKey(key string) string {
	const longest = 64 // no name comes near, and distance is quadratic
	if len(key) > longest {
		return ""
	}
	key = strings.ReplaceAll(strings.ToLower(key), "-", "_")
	best, least := "", len(key)/3+1
	for i := range settingTable {
		name := settingTable[i].key()
		if d := editDistance(key, name); d < least {
			best, least = name, d
		}
	}
	return best
}

// editDistance counts the bytes to insert, delete or replace to turn a into b.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
