package stream

import "bytes"

// BodyModel returns the name of a model as a body has it, without what may stand
// before it: "models/", or the publisher of one of Vertex AI's. It aliases model.
func BodyModel(model []byte) []byte { return model[bytes.LastIndexByte(model, '/')+1:] }

// AppendModel appends body to dst with another name for the model that its
// top-level member names. What stands before the name stays. A body that names none stays
// as it is.
func AppendModel(dst, body []byte, name string) []byte {
	var at span
	walkMembers(body, skipSpace(body, 0), func(member []byte, v span) {
		if string(member) == "model" && body[v.from] == '"' {
			at = v
		}
	})
	if at.to == 0 {
		return append(dst, body...)
	}
	old := AppendUnescaped(nil, body[at.from+1:at.to-1])
	front := old[:len(old)-len(BodyModel(old))]
	dst = append(dst, body[:at.from]...)
	dst = AppendJSONString(dst, append(front, name...))
	return append(dst, body[at.to:]...)
}
