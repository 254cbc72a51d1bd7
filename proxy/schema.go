package proxy

import (
	"bytes"
	"encoding/json"
)

// schema is a JSON Schema, or a part of one
// (https://json-schema.org/draft/2020-12).
type schema map[string]any

// Kinds of values in the file. A number may be written where text is expected:
// a group may be called 1.
var textSchema = schema{"type": []string{"string", "number", "boolean"}}

func patternSchema(pattern string) schema { return schema{"type": "string", "pattern": pattern} }

func wordSchema(words ...string) schema { return schema{"enum": words} }

func numberSchema(low, high int) schema {
	return schema{"type": "integer", "minimum": low, "maximum": high}
}

// listSchema takes a list, or a single item in place of a list of one.
func listSchema(items schema) schema {
	return eitherSchema(items, schema{"type": "array", "items": items})
}

// someSchema is listSchema for loadSome.
func someSchema(items schema) schema {
	return eitherSchema(items, schema{"type": "array", "items": items, "minItems": 1})
}

func eitherSchema(a, b schema) schema { return schema{"anyOf": []schema{a, b}} }

func mapSchema(values schema) schema {
	return schema{"type": "object", "additionalProperties": values}
}

func objectSchema[T any](table []member[T]) schema {
	properties := schema{}
	for _, m := range table {
		properties[m.name] = described(m.kind, m.meaning, "")
	}
	return schema{"type": "object", "additionalProperties": false, "properties": properties}
}

// described adds what an editor shows beside a value.
func described(kind schema, meaning, def string) schema {
	s := schema{"description": meaning}
	if def != "" {
		s["default"] = def
	}
	for k, v := range kind {
		s[k] = v
	}
	return s
}

// settingSchema is the schema of a setting's value.
func settingSchema(s *setting) schema {
	kind := s.kind
	if kind == nil {
		kind = textSchema
	}
	switch s.shape {
	case shapeList:
		kind = listSchema(textSchema)
	case shapeMapping:
		kind = eitherSchema(textSchema, mapSchema(textSchema))
	}
	return described(kind, s.meaning, s.def)
}

// Schema returns the JSON Schema of the configuration file, for editors that
// complete and check it.
func Schema() []byte {
	group := objectSchema(groupMembers)
	properties := schema{}
	for i := range settingTable {
		s := &settingTable[i]
		properties[s.key()] = settingSchema(s)
		if s.own {
			own := settingSchema(s)
			delete(own, "default")
			group["properties"].(schema)[s.key()] = own
		}
	}
	client := objectSchema(clientMembers)
	client["required"] = []string{"name", "token"}
	properties[groupsSection] = described(schema{"type": "object", "minProperties": 1,
		"additionalProperties": eitherSchema(group, schema{"type": "null"})}, "groups by name, beside those of group_mapping", "")
	properties[clientsSection] = described(schema{"type": "array", "minItems": 1, "items": client},
		"who may use the groups that have keys", "")
	return indented(schema{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"title":                "Configuration of gemini-resilient-proxy",
		"type":                 "object",
		"additionalProperties": false,
		"properties":           properties,
	})
}

func indented(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(v); err != nil {
		panic("BUG: a schema does not encode: " + err.Error())
	}
	return b.Bytes()
}
