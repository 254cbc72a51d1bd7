package stream

import "bytes"

// naming are members that name what the API keeps for a caller: files, cached
// contents, interactions.
var naming = [...]bound{
	{[2]string{`"file`, `"file_`}, `Uri"`},
	{[2]string{`"fil`, `"fil`}, `e_uri"`},
	{[2]string{`"fileN`, `"file_n`}, `ame"`},
	{[2]string{`"cachedC`, `"cached_c`}, `ontent"`},
	{[2]string{`"previous_i`, `"previous_i`}, `nteraction_id"`},
}

var (
	// stores are lists of what is searched in.
	stores = bound{[2]string{`"fileSearchStoreN`, `"file_search_store_n`}, `ames"`}
	// results are files that the API makes of a batch.
	results = bound{[2]string{`"responsesF`, `"responses_f`}, `ile"`}
)

// EachResource calls f with the name of all that a request says is kept for its
// caller, as ResourceName has it. The names are f's for the time of the call.
func EachResource(body []byte, f func(name []byte)) {
	named := func(value []byte) {
		if name := ResourceName(value); name != nil {
			f(name)
		}
	}
	for i := range naming {
		naming[i].each(body, func(value []byte) {
			if i == len(naming)-1 {
				value = append([]byte("interactions/"), value...)
			}
			named(value)
		})
	}
	for at := stores.value(body, 0); at != bad; at = stores.value(body, at) {
		for i, some := arrayStart(body, at); some && i != bad; {
			end := skipString(body, i)
			if end == bad {
				break
			}
			named(plainString(body, span{i, end}))
			i, some = nextItem(body, end, ']')
		}
	}
}

// kinds are the collections of what the API keeps for a caller and gives to
// nobody else. An operation may be one of another's, which comes first.
var kinds = [...][]byte{
	[]byte("files/"), []byte("cachedContents/"), []byte("interactions/"), []byte("batches/"),
	[]byte("fileSearchStores/"), []byte("tunedModels/"), []byte("operations/"),
}

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

// EachCreated calls f with the names of what an answer says was made, as
// ResourceName has them: a file that was uploaded, a cached content, an
// interaction, a batch and the file of its results, an operation. The names are
// f's for the time of the call.
func EachCreated(body []byte, f func(name []byte)) {
	take := func(value span, front string) {
		if body[value.from] != '"' {
			return
		}
		if name := ResourceName(append([]byte(front), plainString(body, value)...)); name != nil {
			f(name)
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
	for v := results.next(body, 0); v.to != 0; v = results.next(body, v.to) {
		take(v, "")
	}
}
