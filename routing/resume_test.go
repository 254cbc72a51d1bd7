package routing

import (
	"net/url"
	"testing"
)

func TestAppendResume(t *testing.T) {
	f := func(target, id, last, want string) {
		t.Helper()
		if got := AppendResume([]byte("x"), []byte(target), []byte(id), []byte(last)); string(got) != "x"+want {
			t.Errorf("%s %q %q: %s, want %s", target, id, last, got[1:], want)
		}
	}
	f("/v1beta/interactions", "v1_a-b", "e1", "/v1beta/interactions/v1_a-b?stream=true&last_event_id=e1")
	f("/p/a/v1beta/interactions?x=%20y&&z", "a/b c%", "A+/=&é", "/p/a/v1beta/interactions/a%2Fb%20c%25?x=%20y&&z&stream=true&last_event_id=A%2B%2F%3D%26%C3%A9")
	f("/v1beta/interactions/i?stream=true&a=b&last_event_id=old&str%65am=1", "", "new", "/v1beta/interactions/i?a=b&stream=true&last_event_id=new")
	f("/v1beta/interactions/i?last_event_id=", "", "new", "/v1beta/interactions/i?stream=true&last_event_id=new")
}

func TestLastEvent(t *testing.T) {
	f := func(query, want string) {
		t.Helper()
		if got := LastEvent([]byte(query)); string(got) != want {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
	}
	f("", "")
	f("a=b", "")
	f("a=b&last_event_id=x%2By&last_event_id=z", "x+y")
	f("last%5fevent_id=x", "x")
	f("last_event_id", "")
}

// FuzzAppendResume: whatever an upstream calls its events, the target holds it
// as it is, and nothing else.
func FuzzAppendResume(f *testing.F) {
	f.Add("v1_x", "e1")
	f.Add("../x?y#z", "\r\n\x00%41+&=")
	f.Fuzz(func(t *testing.T, id, last string) {
		if id == "" || id == "." || id == ".." {
			return
		}
		got := string(AppendResume(nil, []byte("/v1beta/interactions?a=b"), []byte(id), []byte(last)))
		u, err := url.ParseRequestURI(got)
		if err != nil || CheckQuery([]byte(u.RawQuery)) != nil {
			t.Fatalf("%q: %v", got, err)
		}
		if u.Path != "/v1beta/interactions/"+id || u.Query().Get("last_event_id") != last || u.Query().Get("a") != "b" || len(u.Query()) != 3 {
			t.Fatalf("%q %q became %q", id, last, got)
		}
	})
}
