package stream

// formatNames are the members of generationConfig that hold an answer to a
// format. The last is the one that the API asks for now; the others are what
// most requests have (https://ai.google.dev/api/generate-content#generationconfig).
var formatNames = map[string]bool{
	"responseMimeType": true, "response_mime_type": true,
	"responseSchema": true, "response_schema": true,
	"responseJsonSchema": true, "response_json_schema": true, "_responseJsonSchema": true,
	"responseFormat": true, "response_format": true,
}

// format takes the member of generationConfig that says what the answer is to be
// like.
func (r *Request) format(name string, v span) {
	switch name {
	case "responseMimeType", "response_mime_type":
		r.mimeType(v.of(r.body))
	case "responseFormat", "response_format":
		r.formats(v.from)
	default:
		r.JSON = true
	}
}

// mimeType takes a media type, with its quotes, or the name that the API has for
// it in responseFormat. Some encoders escape its slash.
func (r *Request) mimeType(value []byte) {
	if value[0] != '"' {
		r.JSON = true
		return
	}
	switch string(AppendUnescaped(nil, value[1:len(value)-1])) {
	case "text/plain", "TEXT_PLAIN", "MIME_TYPE_UNSPECIFIED", "":
	case "application/json", "APPLICATION_JSON":
		r.JSON, r.Document = true, true
	default:
		r.JSON = true
	}
}

// formats takes responseFormat: an object with one member for each modality, or,
// as Vertex AI has it, a list of them.
func (r *Request) formats(v int) {
	if r.body[v] != '[' {
		r.outputFormat(v)
		return
	}
	i, some := arrayStart(r.body, v)
	for some && i != bad {
		r.outputFormat(i)
		i, some = nextItem(r.body, skipValue(r.body, i, 0), ']')
	}
}

func (r *Request) outputFormat(v int) {
	if r.body[v] != '{' {
		return
	}
	walkMembers(r.body, v, func(name []byte, v span) {
		if string(name) == "text" && r.body[v.from] == '{' {
			walkMembers(r.body, v.from, r.textFormat)
		}
	})
}

// textFormat takes a member of the format of texts.
func (r *Request) textFormat(name []byte, v span) {
	if isNull(r.body, v.from) {
		return
	}
	switch string(name) {
	case "mimeType", "mime_type":
		r.mimeType(v.of(r.body))
	case "schema":
		r.JSON = true
	}
}
