package stream

import "bytes"

// naming are members that name what the API keeps for a caller: files, cached
// contents, interactions.
var naming = [...]bound{
	{[2]string{`"file`, `"file_`}, `Uri"`},
	{[2]string{`"fil`, `"fil`}, `e_uri"`},
	{[2]string{`"cachedC`, `"cached_c`}, `ontent"`},
	{[2]string{`"previous_i`, `"previous_i`}, `nteraction_id"`},
}

// EachResource calls f with the name of all that a request says is kept for its
// caller, as ResourceName has it. The names are f's for the time of the call.
func EachResource(body []byte, f func(name []byte)) {
	for i := range naming {
		naming[i].each(body, func(value []byte) {
			if i == len(naming)-1 {
				value = append([]byte("interactions/"), value...)
			}
			if name := ResourceName(value); name != nil {
				f(name)
			}
		})
	}
}

// kinds are the collections of what the API keeps for a caller and gives to
// nobody else.
var kinds = [...][]byte{[]byte("files/"), []byte("cachedContents/"), []byte("interactions/")}

// ResourceName returns the name of what the API keeps for a caller, "files/abc",
// out of a name, a path or a URL; nil when that is of nothing such. It aliases
// text.
func ResourceName(text []byte) []byte {
	for _, kind := range kinds {
		i := bytes.LastIndex(text, kind)
		if i < 0 || i > 0 && text[i-1] != '/' {
			continue
		}
		end := i + len(kind)
		for end < len(text) && bytes.IndexByte([]byte("/:?#"), text[end]) < 0 {
			end++
		}
		if end > i+len(kind) {
			return text[i:end]
		}
	}
	return nil
}

// CreatedName returns the name of what an answer says was made, as ResourceName
// has it: a file that was uploaded, a cached content, an interaction. nil stands
// for nothing such. The result owns its memory.
func CreatedName(body []byte) (name []byte) {
	take := func(value span, front string) {
		if body[value.from] == '"' {
			name = ResourceName(append([]byte(front), plainString(body, value)...))
		}
	}
	walkMembers(body, skipSpace(body, 0), func(member []byte, v span) {
		switch string(member) {
		case "name":
			take(v, "")
		case "id":
			take(v, "interactions/")
		case "file":
			walkMembers(body, v.from, func(member []byte, v span) {
				if string(member) == "name" {
					take(v, "")
				}
			})
		}
	})
	return name
}
