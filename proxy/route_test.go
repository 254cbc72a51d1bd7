package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// routed sends raw requests to a proxy with groups and returns what arrives.
func routed(t *testing.T) (r *rig, send func(target, header, body string) *upstream.Request) {
	m := &upstream.Model{Answer: "ok"}
	r = newRig(t, m.Handle, func(c *proxy.Config) {
		c.UpstreamURLBase += "/base"
		c.GroupMapping = map[string]string{"default": "/d", "group-a": "/proxy/group-a", "group-b": "/proxy/group-b", "group-c": "/c", "None": ""}
	})
	return r, func(target, header, body string) *upstream.Request {
		t.Helper()
		r.up.Reset()
		w := r.wire()
		w.t = t
		if !strings.Contains(header, "Host: ") {
			header += "Host: localhost\r\n"
		}
		if body != "" {
			header += "Content-Type: application/json\r\n"
		}
		w.send("POST " + target + " HTTP/1.1\r\n" + header + "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
		if resp, _, err := w.reply("POST"); err != nil || resp.StatusCode != 200 && resp.StatusCode != 400 {
			t.Fatalf("%s %q: %v %v", target, header, resp, err)
		}
		if r.up.Count() == 0 {
			return nil
		}
		return r.arrived(0)
	}
}

// TestGroupSources goes through the four places that can name a group, their
// order, and names that nobody knows.
func TestGroupSources(t *testing.T) {
	_, send := routed(t)
	const models = "/v1beta/models"
	f := func(want, query, header, body string) {
		t.Helper()
		q := send(models+query, header, body)
		if q == nil {
			t.Errorf("%s %q %s: nothing arrived", query, header, body)
		} else if q.Target != "/base"+want+models && !strings.HasPrefix(q.Target, "/base"+want+models+"?") {
			t.Errorf("%s %q %s: %s, want group path %s", query, header, body, q.Target, want)
		}
	}
	f("/d", "", "", "")
	// Alone.
	f("/proxy/group-a", "", "x-goog-api-key: group-a:K\r\n", "")
	f("/proxy/group-a", "?key=group-a:K", "", "")
	f("/proxy/group-a", "?key=group-a%3AK", "", "")
	f("/proxy/group-a", "", "Authorization: Bearer group-a:K\r\n", "")
	f("/proxy/group-a", "", "", `{"apiKey":"group-a:K"}`)
	f("/proxy/group-b", "", "X-Proxy-Group: group-b\r\n", "")
	f("/proxy/group-b", "", "x-proxy-group: group-b\r\n", "")
	f("/c", "?group=group-c", "", "")
	f("/c", "?gro%75p=group%2Dc", "", "")
	f("/proxy/group-a", "", "Host: group-a.example.com\r\n", "")
	f("/proxy/group-a", "", "Host: GROUP-A.Example.com:8080\r\n", "")
	f("", "", "Host: none.example.com\r\n", "")
	// In order.
	all := "x-goog-api-key: group-a:K\r\nX-Proxy-Group: group-b\r\nHost: none.example.com\r\n"
	f("/proxy/group-a", "?group=group-c", all, "")
	f("/proxy/group-b", "?group=group-c", strings.Replace(all, "group-a:", "", 1), "")
	f("/c", "?group=group-c", "Host: none.example.com\r\n", "")
	// Unknown names fall through.
	f("/proxy/group-b", "", strings.Replace(all, "group-a", "unknown", 1), "")
	f("/c", "?group=group-c", "x-goog-api-key: u:K\r\nX-Proxy-Group: u\r\nHost: none.example.com\r\n", "")
	f("", "?group=u", "x-goog-api-key: u:K\r\nX-Proxy-Group: u\r\nHost: none.example.com\r\n", "")
	f("/d", "?group=u", "x-goog-api-key: u:K\r\nX-Proxy-Group: u\r\nHost: u.example.com\r\n", "")
	f("/c", "?group=u&group=group-c", "", "")
	f("/d", "?group=", "X-Proxy-Group: \r\n", "")
	// Names of groups are exact, but for the host's label.
	f("/d", "", "X-Proxy-Group: GROUP-B\r\n", "")
	f("/d", "", "X-Proxy-Group: group-b, group-c\r\n", "")
	f("/d", "", "Host: group-a\r\n", "")
	f("/d", "", "Host: 127.0.0.1\r\n", "")
	f("/d", "", "Host: [::1]:80\r\n", "")
}

// TestKeyPlaces goes through the four places of the key, their order, and what
// goes upstream of each.
func TestKeyPlaces(t *testing.T) {
	r, send := routed(t)
	f := func(want, wantBearer, query, header, body, wantBody string) {
		t.Helper()
		q := send("/v1/m:countTokens"+query, header, body)
		if q == nil {
			t.Errorf("%s %q %s: nothing arrived", query, header, body)
			return
		}
		bearer := strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer ")
		if got := strings.Join(q.Header.Values("X-Goog-Api-Key"), "|"); got != want || bearer != wantBearer || string(q.Body) != wantBody {
			t.Errorf("%s %q %s: key %q, bearer %q, body %s; want %q, %q, %s", query, header, body, got, bearer, q.Body, want, wantBearer, wantBody)
		}
		for _, never := range []string{"group-a", "X-Proxy-Group", "apiKey", "key=", "group="} {
			if line := headLines(q.Raw)[0]; strings.Contains(strings.TrimPrefix(line, "POST /base/proxy/group-a"), never) ||
				strings.Contains(strings.Join(headLines(q.Raw)[1:], "\n")+string(q.Body), never) {
				t.Errorf("%q arrived:\n%s%s", never, q.Raw, q.Body)
			}
		}
	}
	const key, bearer = "x-goog-api-key: ", "Authorization: Bearer "
	f("", "", "", "", "", "")
	f("K", "", "", key+"K\r\n", "", "")
	f("K", "", "", key+"group-a:K\r\n", "", "")
	f("K:with:colons", "", "", key+"group-a:K:with:colons\r\n", "", "")
	f("unknown:K", "", "", key+"unknown:K\r\n", "", "")
	f("default:K", "", "", key+"group-a:default:K\r\n", "", "")
	f("", "", "", key+"group-a:\r\n", "", "")
	f("", "", "", key+"\r\n", "", "")
	f("K", "", "?key=K", "", "", "")
	f("K", "", "?key=group-a:K&alt=json", "", "", "")
	f("a b", "", "?key=a%20b", "", "", "")
	f("a+b", "", "?key=a+b", "", "", "")
	f("K", "", "?key=&key=group-a:K", "", "", "")
	f("", "K", "", bearer+"K\r\n", "", "")
	f("", "K", "", bearer+"group-a:K\r\n", "", "")
	f("", "K", "", "authorization: bearer group-a:K\r\n", "", "")
	f("", "Basic eA==", "", "Authorization: Basic eA==\r\n", "", "")
	f("K", "", "", "", `{"apiKey":"group-a:K"}`, `{}`)
	f("K", "", "", "", `{"contents":[],"apiKey":"group-a:K","x":1}`, `{"contents":[],"x":1}`)
	f(`K"q`, "", "", "", `{"apiKey":"group-a:K\u0022q"}`, `{}`)
	// Behind a byte order mark, as some editors write a file that curl sends.
	f("K", "", "", "", "\ufeff"+`{"apiKey":"group-a:K","contents":[]}`, "\ufeff"+`{"contents":[]}`)
	// Only the first of them is the key; the others go no further.
	f("H", "", "?key=group-a:Q", key+"H\r\n", `{"apiKey":"B"}`, `{}`)
	f("Q", "", "?key=Q", "", `{"apiKey":"B"}`, `{}`)
	f("H", "T", "?key=Q", key+"H\r\n"+bearer+"T\r\n", `{"apiKey":"B"}`, `{}`)
	f("Q", "T", "?key=Q", bearer+"group-a:T\r\n", `{}`, `{}`)
	f("", "T", "", bearer+"group-a:T\r\n", `{"apiKey":"B"}`, `{}`)
	f("H", "", "", key+"group-a:H\r\n"+key+"second\r\n", "", "")
	f("H", "", "", key+"H\r\nConnection: x-goog-api-key, content-type\r\n", `{"a":1}`, `{"a":1}`)
	// An apiKey deeper in the body, or in text, is the client's own affair.
	const deep = `{"contents":[{"parts":[{"text":"my \"apikey\": x"}]}]}`
	f("K", "", "?key=K", "", deep, deep)
	// A body is looked at whatever its type says, as curl -d says another.
	for _, kind := range []string{"", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"} {
		w := r.wire()
		r.up.Reset()
		w.send("POST /v1/m:countTokens HTTP/1.1\r\nHost: a\r\n" + kind + "Content-Length: 22\r\n\r\n" + `{"apiKey":"group-a:K"}`)
		w.wants("POST", 200)
		if q := r.arrived(0); q.Header.Get("X-Goog-Api-Key") != "K" || string(q.Body) != "{}" {
			t.Errorf("%q: arrived:\n%s%s", kind, q.Raw, q.Body)
		}
	}
}

// TestKeyCannotInject tries to put lines, or a request, into the head that
// goes upstream.
func TestKeyCannotInject(t *testing.T) {
	r, send := routed(t)
	f := func(query, header, body string, passes bool) {
		t.Helper()
		q := send("/v1/m:countTokens"+query, header, body)
		if (q != nil) != passes {
			t.Errorf("%s %q %q: arrived %v, want %v", query, header, body, q != nil, passes)
		}
		if q != nil && (q.Header.Get("X-Evil") != "" || countLines(q.Raw, "Host") != 1 || r.up.Malformed() > 0) {
			t.Errorf("arrived:\n%s", q.Raw)
		}
	}
	f("?key=K%0d%0aX-Evil:%201", "", "", false)
	f("?key=K%0aX-Evil:%201", "", "", false)
	f("?key=K%00", "", "", false)
	f("?key=%C3%A4", "", "", false)
	f("?group=group-a%0d%0aX-Evil:1", "", "", true)
	f("?x=%0d%0aX-Evil:1", "", "", true)
	f("", "", `{"apiKey":"K\r\nX-Evil: 1"}`, false)
	f("", "", `{"apiKey":"K\u000d\u000aX-Evil: 1"}`, false)
	f("", "", `{"apiKey":"\u00e4"}`, false)
	f("", "", `{"apiKey":17}`, true)
	f("", "", `{"apiKey":"`+strings.Repeat("K", 4096)+`"}`, true)
	f("", "", `{"apiKey":"`+strings.Repeat("K", 4097)+`"}`, false)
	f("", "X-Proxy-Group: group-a\r\nX-Proxy-Group: group-b\r\n", "", true)
}

// TestCurlExample sends what the documentation's first curl line sends.
func TestCurlExample(t *testing.T) {
	const body = `{
  "contents": [{
    "parts": [{"text": "Why is the sky blue?"}]
  }],
  "generationConfig": {
    "temperature": 0.9
  },
  "apiKey": "group-a:YOUR_API_KEY"
}`
	const want = `{
  "contents": [{
    "parts": [{"text": "Why is the sky blue?"}]
  }],
  "generationConfig": {
    "temperature": 0.9
  }
}`
	r, _ := routed(t)
	for _, action := range []string{":streamGenerateContent?alt=sse", ":generateContent", ":streamGenerateContent", ":countTokens"} {
		r.up.Reset()
		w := r.wire()
		w.send("POST /v1beta/models/gemini-pro" + action + " HTTP/1.1\r\nHost: your-worker.workers.dev\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\n" +
			"Content-Type: application/json\r\nContent-Length: " + itoa(len(body)) + "\r\n\r\n" + body)
		w.reply("POST")
		q := r.arrived(0)
		if q.Target != "/base/proxy/group-a/v1beta/models/gemini-pro"+action || q.Header.Get("X-Goog-Api-Key") != "YOUR_API_KEY" ||
			!sameJSON(string(q.Body), want) || q.Method != http.MethodPost {
			t.Errorf("%s arrived:\n%s%s", action, q.Raw, q.Body)
		}
	}
}

// sameJSON compares two texts without their white space.
func sameJSON(a, b string) bool {
	bare := func(s string) string { return strings.Join(strings.Fields(s), "") }
	return bare(a) == bare(b)
}

// TestBaseAndGroupPaths joins base, group and path without losing a byte.
func TestBaseAndGroupPaths(t *testing.T) {
	for _, base := range []string{"", "/", "/b", "/b/c/"} {
		for _, group := range []string{"", "/", "/g", "/g/h/"} {
			r := newRig(t, plain, func(c *proxy.Config) {
				c.UpstreamURLBase += base
				c.GroupMapping = map[string]string{"default": group}
			})
			r.do("GET", "/v1/a%2Fb?x=%20", "")
			want := strings.TrimRight(base, "/") + strings.TrimRight(group, "/") + "/v1/a%2Fb?x=%20"
			if got := r.arrived(0).Target; got != want {
				t.Errorf("base %q, group %q: %s, want %s", base, group, got, want)
			}
			r.stop()
		}
	}
}
