package stream

import (
	"bytes"
	"net/url"
)

// naming are members that name what the API keeps for a caller: files, cached
// contents, interactions. Where the value may be an identity alone, front is the
// collection that it is of.
var naming = [...]struct {
	bound
	front string
}{
	{bound{[2]string{`"file`, `"file_`}, `Uri"`}, ""},
	{bound{[2]string{`"fil`, `"fil`}, `e_uri"`}, ""},
	{bound{[2]string{`"fileN`, `"file_n`}, `ame"`}, ""},
	{bound{[2]string{`"cachedC`, `"cached_c`}, `ontent"`}, ""},
	{bound{[2]string{`"previous_i`, `"previous_i`}, `nteraction_id"`}, "interactions/"},
	{bound{[2]string{`"input_f`, `"input_f`}, `ile_id"`}, "files/"},
}

var (
	// stores are lists of what is searched in.
	stores = bound{[2]string{`"fileSearchStoreN`, `"file_search_store_n`}, `ames"`}
	// results are files that the API makes of a batch, in its own words and in
	// those of OpenAI.
	results = [...]bound{
		{[2]string{`"responsesF`, `"responses_f`}, `ile"`},
		{[2]string{`"output_fil`, `"error_fil`}, `e_id"`},
	}
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
		naming[i].each(body, func(value []byte) { named(inCollection(naming[i].front, value)) })
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

// inCollection puts the name of a collection in front of an identity, unless it
// says one itself.
func inCollection(front string, value []byte) []byte {
	if front == "" || ResourceName(value) != nil {
		return value
	}
	return append([]byte(front), value...)
}

// kinds are the collections of what the API keeps for a caller and gives to
// nobody else. An operation may be one of another's, which comes first; a video
// may be one.
var kinds = [...][]byte{
	[]byte("files/"), []byte("cachedContents/"), []byte("interactions/"), []byte("batches/"),
	[]byte("fileSearchStores/"), []byte("tunedModels/"), []byte("operations/"), []byte("videos/"),
}

// ResourceName returns the name of what the API keeps for a caller, "files/abc",
// out of a name, a path or a URL; nil when that is of nothing such. It aliases
// text, unless what stands in a path is a name itself, "files/files%2Fabc", as
// OpenAI's clients write it: escaped once.
func ResourceName(text []byte) []byte { return resourceName(text, true) }

func resourceName(text []byte, escaped bool) []byte {
	for _, kind := range kinds {
		i := bytes.LastIndex(text, kind)
		if i < 0 || i > 0 && text[i-1] != '/' {
			continue
		}
		end := i + len(kind)
		for end < len(text) && bytes.IndexByte([]byte("/:?#"), text[end]) < 0 {
			end++
		}
		if id := text[i+len(kind) : end]; escaped && bytes.IndexByte(id, '%') >= 0 {
			if plain, err := url.PathUnescape(string(id)); err == nil {
				if name := resourceName([]byte(plain), false); name != nil {
					return name
				}
			}
		}
		if end > i+len(kind) {
			return text[i:end]
		}
	}
	return nil
}

// EachCreated calls f with the names of what an answer says was made, as
// ResourceName has them: a file that was uploaded, a cached content, an
// interaction, a batch and the files of its results, an operation, a video.
// front is the collection of an id that names none, "interactions/". The names
// are f's for the time of the call.
func EachCreated(body []byte, front string, f func(name []byte)) {
	take := func(value []byte, front string) {
		if name := ResourceName(inCollection(front, value)); name != nil {
			f(name)
		}
	}
	walkMembers(body, skipSpace(body, 0), func(member []byte, v span) {
		if body[v.from] != '"' && string(member) != "file" {
			return
		}
		switch string(member) {
		case "name":
			take(plainString(body, v), "")
		case "id":
			take(plainString(body, v), front)
		case "file":
			walkMembers(body, v.from, func(member []byte, v span) {
				if string(member) == "name" && body[v.from] == '"' {
					take(plainString(body, v), "")
				}
			})
		}
	})
	for i := range results {
		results[i].each(body, func(value []byte) { take(value, "files/") })
	}
}
