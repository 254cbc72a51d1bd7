package upstream

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// isInteraction tells whether the path of r is the Interactions API's.
func (r *Request) isInteraction() bool {
	path, _, _ := strings.Cut(r.Target, "?")
	return strings.HasSuffix(path, "/interactions") || strings.Contains(path, "/interactions/")
}

// interaction is the identity of the interaction that r begins or resumes, and
// how many bytes of its text were told before the event that it resumes behind;
// negative if it is to be told from its beginning. The identity holds the model
// and the mark of the question, so that nothing must be remembered of it.
func (r *Request) interaction() (id string, from int) {
	if r.Method == "POST" {
		turns, _ := r.Contents()
		_, mark := Asked(turns)
		return base64.RawURLEncoding.EncodeToString([]byte(r.Model() + " " + mark)), -1
	}
	u, err := url.ParseRequestURI(r.Target)
	if err != nil {
		return "", -1
	}
	from, err = strconv.Atoi(strings.TrimPrefix(u.Query().Get("last_event_id"), "e"))
	if err != nil {
		from = -1
	}
	return u.Path[strings.LastIndexByte(u.Path, '/')+1:], from
}

// resumed is the model and the mark that an interaction's identity holds.
func resumed(id string) (model, mark string) {
	b, _ := base64.RawURLEncoding.DecodeString(id)
	model, mark, _ = strings.Cut(string(b), " ")
	return model, mark
}

// interactionForm is the form of Interactions: named events. Those of the
// answer's only step have an identity, which is the number of bytes of the text
// so far. An answer that is resumed has what is behind an event alone.
// Thoughts and function calls have no place in it.
type interactionForm struct {
	id    string
	said  int // bytes
	begun bool
}

func newInteractionForm(r *Request) *interactionForm {
	id, from := r.interaction()
	return &interactionForm{id: id, said: max(from, 0), begun: from >= 0}
}

func (f *interactionForm) event(a *answer, e event) error {
	a.event = f.append(a.event[:0], e)
	return a.body(a.event)
}

func (f *interactionForm) torn(a *answer, e event) error {
	a.event = tear(f.append(a.event[:0], e), e.text)
	return a.body(a.event)
}

func (f *interactionForm) end(*answer, bool) error    { return nil }
func (f *interactionForm) failure(body string) string { return body }

func (f *interactionForm) append(dst []byte, e event) []byte {
	if e.kind == failureEvent {
		dst = appendJSON(append(dst, "event: error\ndata: {\"error\":{\"code\":"...), strings.ToLower(e.name))
		dst = appendJSON(append(dst, `,"message":`...), e.text)
		return append(dst, "},\"event_type\":\"error\"}\n\n"...)
	}
	if !f.begun {
		f.begun = true
		dst = f.appendStatus(dst, "interaction.created", "in_progress")
		dst = f.appendStep(dst, "step.start", `"step":{"type":"model_output"}`)
	}
	if e.kind == textEvent && e.text != "" {
		f.said += len(e.text)
		dst = f.appendStep(dst, "step.delta", string(appendJSON([]byte(`"delta":{"type":"text","text":`), e.text))+"}")
	}
	if e.reason == "" {
		return dst
	}
	f.said++ // so that this identity, too, is another
	dst = f.appendStep(dst, "step.stop", `"status":"done"`)
	return append(f.appendStatus(dst, "interaction.completed", "completed"), "event: done\ndata: [DONE]\n\n"...)
}

// appendStep appends an event of the step.
func (f *interactionForm) appendStep(dst []byte, name, member string) []byte {
	dst = append(dst, "event: "+name+"\ndata: {\"index\":0,"+member+`,"event_type":"`+name+`","event_id":"e`...)
	return append(strconv.AppendInt(dst, int64(f.said), 10), "\"}\n\n"...)
}

// appendStatus appends an event of the interaction as a whole.
func (f *interactionForm) appendStatus(dst []byte, name, status string) []byte {
	dst = append(dst, "event: "+name+"\ndata: {\"interaction\":{\"id\":\""+f.id+`","object":"interaction","status":"`+status+`"},"event_type":"`...)
	return append(dst, name+"\"}\n\n"...)
}

// steps are the input of an interaction: a text, or steps with contents.
type steps []Turn

// UnmarshalJSON reads either form.
func (s *steps) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		*s = steps{{Role: "user"}}
		return json.Unmarshal(b, &(*s)[0].Text)
	}
	var list []struct {
		Type    string
		Content messageText
	}
	err := json.Unmarshal(b, &list)
	for _, step := range list {
		t := Turn{Role: "user", Text: string(step.Content)}
		if step.Type == "model_output" {
			t.Role = "model"
		}
		*s = append(*s, t)
	}
	return err
}
