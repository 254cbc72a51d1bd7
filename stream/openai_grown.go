package stream

// grown is an object that comes in pieces, of which each says what is added:
// logprobs, whose lists go on, and audio, whose texts do
// (https://platform.openai.com/docs/api-reference/chat-streaming). What grows is
// kept without the byte that ends it, so that a piece costs what is in it.
type grown struct {
	open fields // lists and texts
	rest fields // the newest
}

// take takes a piece. Members that texts names are texts that go on.
func (g *grown) take(object []byte, texts func(name string) bool) {
	walkMembers(object, 0, func(name []byte, v span) {
		value := v.of(object)
		switch {
		case value[0] == '[', value[0] == '"' && texts(string(name)):
			g.rest.drop(string(name))
			g.open.grow(name, value)
		case !isNull(value, 0):
			g.rest.set(name, value)
		case g.open.get(string(name)) == nil && g.rest.get(string(name)) == nil:
			g.rest.set(name, value)
		}
	})
}

func (g *grown) len() int { return g.open.len() + g.rest.len() }

func (g *grown) append(dst []byte) []byte {
	dst = append(dst, '{')
	for i := range g.open {
		value := g.open[i].value
		dst = append(appendName(dst, []byte(g.open[i].name)), value...)
		dst = append(dst, closing[value[0]])
	}
	return append(g.rest.append(dst), '}')
}

var closing = [256]byte{'[': ']', '"': '"'}

// grow adds the elements of a list, or the inside of a string, to the member,
// which is kept without its end.
func (f *fields) grow(name, value []byte) {
	inside := value[1 : len(value)-1]
	for i := range *f {
		if m := &(*f)[i]; m.name == string(name) && m.value[0] == value[0] {
			if value[0] == '[' && !isEmptyValue(value) && len(m.value) > 1 {
				m.value = append(m.value, ',')
			}
			if !isEmptyValue(value) {
				m.value = append(m.value, inside...)
			}
			return
		}
	}
	if isEmptyValue(value) {
		inside = nil
	}
	f.drop(string(name))
	*f = append(*f, field{string(name), append([]byte{value[0]}, inside...)})
}
