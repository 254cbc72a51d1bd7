package stream

import "bytes"

// BodyModel returns the name of a model as a body has it, without what may stand
// before it: "models/", or the publisher of one of Vertex AI's. It aliases model.
func BodyModel(model []byte) []byte { return model[bytes.LastIndexByte(model, '/')+1:] }

// AppendRenamed appends body to dst with other names for the models that it
// names: its top-level member, and those of the requests within a batch or
// within one that counts tokens. Names that are not in names stay, as do all
// other bytes; what stands before a name stays, too. body may be the beginning
// of one.
func AppendRenamed(dst, body []byte, names map[string]string) []byte {
	done := 0
	rename := func(v span) {
		if body[v.from] != '"' {
			return
		}
		old := AppendUnescaped(nil, body[v.from+1:v.to-1])
		model := BodyModel(old)
		name, known := names[string(model)]
		if !known {
			return
		}
		dst = append(dst, body[done:v.from]...)
		dst = AppendJSONString(dst, append(old[:len(old)-len(model)], name...))
		done = v.to
	}
	within := func(at int) {
		walkMembers(body, at, func(member []byte, v span) {
			if string(member) == "model" {
				rename(v)
			}
		})
	}
	walkMembers(body, skipSpace(body, 0), func(member []byte, v span) {
		switch string(member) {
		case "model":
			rename(v)
		case "generateContentRequest", "generate_content_request":
			within(v.from)
		case "requests":
			for i, some := arrayStart(body, v.from); some && i != bad; {
				within(i)
				if i = skipValue(body, i, 0); i == bad {
					break
				}
				i, some = nextItem(body, i, ']')
			}
		}
	})
	return append(dst, body[done:]...)
}
