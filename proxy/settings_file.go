package proxy

import (
	"bytes"
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

const byteOrderMark = "\uFEFF"

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
	if len(bytes.TrimSpace(bytes.TrimPrefix(data, []byte(byteOrderMark)))) == 0 {
		// What a write leaves behind on a full disk is not to take all groups and
		// clients away.
		l.fail(name, "is empty; a file without settings holds {} or a comment")
		return
	}
	l.loadYAML(name, data)
}

func (l *loader) loadYAML(name string, data []byte) {
	file, place, err := parseYAML(data)
	if err != nil {
		l.fail(name+place, "%s", yamlMessage(err))
		return
	}
	var pairs []*ast.MappingValueNode
	for i, doc := range file.Docs {
		if i > 0 {
			start := doc.Start
			if start == nil && doc.Body != nil {
				start = doc.Body.GetToken()
			}
			l.fail(tokenPlace(name, start), "the file must hold one document; this is the beginning of another one")
			return
		}
		body, ok := yamlPairs(doc.Body)
		if !ok {
			l.fail(yamlPlace(name, doc.Body), "the file must be a mapping of setting names to values")
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
	line, place := yamlLine(pair.Key), yamlPlace(name, pair.Key)
	key, ok := yamlKey(pair.Key)
	if !ok {
		l.fail(place, "the name of a setting must be plain text")
		return
	}
	if before, twice := first[key]; twice {
		l.fail(place+": "+key, "given twice; the first is in line %d", before)
		if s := settingByKey(key); s != nil {
			l.bad[s.name] = true
		}
		return
	}
	if isSection(key) {
		first[key] = line
		l.sections = append(l.sections, section{l: l, file: name, key: key, node: pair.Value, at: pair.Key})
		return
	}
	s := settingByKey(key)
	if s == nil {
		hint := ""
		if near := nearestKey(key); near != "" {
			hint = "; did you mean " + near + "?"
		}
		l.fail(place, "%s is not a setting%s", settingValue(key), hint)
		return
	}
	origin := place + ": " + key
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
// place is where the error is, "" or ":line:column".
func parseYAML(data []byte) (file *ast.File, place string, err error) {
	defer func() {
		if recover() != nil {
			file, place, err = nil, "", errors.New("the file is not valid YAML")
		}
	}()
	tokens := lexer.Tokenize(strings.TrimPrefix(string(data), byteOrderMark))
	if place, err = checkTokens(tokens); err != nil {
		return nil, place, err
	}
	// Duplicates are found by loadPair, which goes on after them.
	file, err = parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	return file, yamlPosition(err), err
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

// yamlPlace names a node in a file by line and column.
func yamlPlace(name string, node ast.Node) string { return tokenPlace(name, yamlToken(node)) }

func tokenPlace(name string, t *token.Token) string {
	if t == nil || t.Position == nil {
		return name
	}
	return fmt.Sprintf("%s:%d:%d", name, t.Position.Line, t.Position.Column)
}

// yamlToken returns the first token of a node, or nil.
func yamlToken(node ast.Node) *token.Token {
	switch n := node.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		// Its own token is the colon of the first pair.
		if len(n.Values) > 0 && !n.IsFlowStyle {
			return yamlToken(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return yamlToken(n.Key)
	}
	return node.GetToken()
}

// yamlLine returns the line of a node, or 0.
func yamlLine(node ast.Node) int {
	if t := yamlToken(node); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
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
	for _, name := range sectionNames {
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
