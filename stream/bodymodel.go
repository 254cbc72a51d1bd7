package stream

import "bytes"

// BodyModel returns the name of a model as a body has it, without what may stand
// before it: "models/", or the publisher of one of Vertex AI's. It aliases model.
func BodyModel(model []byte) []byte { return model[bytes.LastIndexByte(model, '/')+1:] }

// maxHolders is how deep objects are looked into that hold requests.
const maxHolders = 8

// eachModel calls f with the value of each string that names a model: the member
// of the body itself, those of the requests within one that counts tokens or
// asks for a batch, and of those in a batch that is worked off later.
func eachModel(body []byte, f func(v span)) { modelsIn(body, skipSpace(body, 0), 0, true, f) }

// modelsIn is eachModel for the object at i. own tells that a model is a member of
// it, and not only of what it holds.
func modelsIn(body []byte, i, depth int, own bool, f func(v span)) {
	if depth > maxHolders {
		return
	}
	walkMembers(body, i, func(member []byte, v span) {
		switch string(member) {
		case "model":
			if own && body[v.from] == '"' {
				f(v)
			}
		case "generateContentRequest", "generate_content_request", "batch", "request":
			modelsIn(body, v.from, depth+1, true, f)
		case "inputConfig", "input_config":
			modelsIn(body, v.from, depth+1, false, f)
		case "requests":
			if body[v.from] == '{' {
				modelsIn(body, v.from, depth+1, false, f)
				return
			}
			for i, some := arrayStart(body, v.from); some && i != bad; {
				modelsIn(body, i, depth+1, true, f)
				if i = skipValue(body, i, 0); i == bad {
					break
				}
				i, some = nextItem(body, i, ']')
			}
		}
	})
}

// EachModel calls f with the name of each model that a body asks, as BodyModel
// has it. The names are f's for the time of the call.
func EachModel(body []byte, f func(model []byte)) {
	var buf []byte
	eachModel(body, func(v span) {
		buf = AppendUnescaped(buf[:0], body[v.from+1:v.to-1])
		f(BodyModel(buf))
	})
}

// AppendRenamed appends body to dst with other names for the models that it
// asks. Names that are not in names stay, as do all other bytes; what stands
// before a name stays, too. body may be the beginning of one.
func AppendRenamed(dst, body []byte, names map[string]string) []byte {
	done := 0
	eachModel(body, func(v span) {
		old := AppendUnescaped(nil, body[v.from+1:v.to-1])
		model := BodyModel(old)
		name, known := names[string(model)]
		if !known {
			return
		}
		dst = append(dst, body[done:v.from]...)
		dst = AppendJSONString(dst, append(old[:len(old)-len(model)], name...))
		done = v.to
	})
	return append(dst, body[done:]...)
}
