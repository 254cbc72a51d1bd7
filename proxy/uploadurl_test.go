package proxy_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// resumable answers as the API's upload protocol does. Its URL is the one that
// it was asked under itself, with what the API adds.
func resumable(origin func() string) upstream.Handler {
	return func(q *upstream.Request) upstream.Script {
		header := map[string]string{"X-GUploader-UploadID": "id", "X-Goog-Upload-Status": "active"}
		switch q.Header.Get("X-Goog-Upload-Command") {
		case "start":
			path, _, _ := strings.Cut(q.Target, "?")
			url := origin() + path + "?upload_id=A-b_9&upload_protocol=resumable"
			header["x-goog-upload-url"], header["X-Goog-Upload-Control-URL"], header["Location"] = url, url+"&control=1", url
			header["X-Goog-Upload-Chunk-Granularity"] = "262144"
			return upstream.Script{upstream.Status(200, header, "")}
		case "upload":
			return upstream.Script{upstream.Status(200, header, "")}
		case "query":
			header["X-Goog-Upload-Size-Received"] = "5"
			return upstream.Script{upstream.Status(200, header, "")}
		}
		header["X-Goog-Upload-Status"] = "final"
		return upstream.Script{upstream.Status(200, header, `{"file":{"uri":"https://generativelanguage.googleapis.com/v1beta/files/x"}}`)}
	}
}

// TestResumableUpload follows the URLs that it is given, as clients do, and
// looks at everything that arrives: the whole upload goes over one group.
func TestResumableUpload(t *testing.T) {
	r := newRig(t, plain, func(c *proxy.Config) {
		c.GroupMapping = map[string]string{"default": "", "group-a": "/proxy/a"}
	})
	google := func() string { return "https://generativelanguage.googleapis.com" }
	for _, origin := range []func() string{r.up.URL, google} {
		r.up.SetHandler(resumable(origin))
		f := func(target, prefix string, header ...string) {
			t.Helper()
			r.up.Reset()
			start := append([]string{"X-Goog-Upload-Protocol", "resumable", "X-Goog-Upload-Command", "start", "X-Goog-Upload-Header-Content-Length", "10",
				"X-Goog-Upload-Header-Content-Type", "video/mp4", "X-Goog-Upload-File-Name", "a b.mp4"}, header...)
			resp, _, err := r.post(target, `{"file":{"display_name":"x"}}`, start...)
			if err != nil || resp.StatusCode != 200 {
				t.Fatal(resp, err)
			}
			q := r.arrived(0)
			for i := 0; i < len(start)-len(header); i += 2 {
				if q.Header.Get(start[i]) != start[i+1] {
					t.Errorf("%s arrived as %q", start[i], q.Header.Get(start[i]))
				}
			}
			url := resp.Header.Get("X-Goog-Upload-URL")
			mine := "http://" + r.addr + "/upload/v1beta/files?upload_id=A-b_9&upload_protocol=resumable"
			if prefix != "" {
				mine += "&group=group-a"
			}
			if url != mine || resp.Header.Get("Location") != mine || !strings.HasPrefix(resp.Header.Get("X-Goog-Upload-Control-URL"), "http://"+r.addr+"/upload/") {
				t.Errorf("%s: %v", target, resp.Header)
			}
			if resp.Header.Get("X-Goog-Upload-Status") != "active" || resp.Header.Get("X-Goog-Upload-Chunk-Granularity") != "262144" {
				t.Errorf("%v", resp.Header)
			}
			path := strings.TrimPrefix(url, "http://"+r.addr)
			for i, command := range []string{"upload", "query", "upload, finalize"} {
				_, _, err := r.post(path, "12345", "X-Goog-Upload-Command", command, "X-Goog-Upload-Offset", itoa(5*i), "Content-Type", "")
				q := r.arrived(1 + i)
				want := prefix + "/upload/v1beta/files?upload_id=A-b_9&upload_protocol=resumable"
				if err != nil || q.Target != want || q.Header.Get("X-Goog-Upload-Command") != command ||
					q.Header.Get("X-Goog-Upload-Offset") != itoa(5*i) || string(q.Body) != "12345" {
					t.Errorf("%s: %v\n%s", command, err, q.Raw)
				}
			}
		}
		f("/upload/v1beta/files", "")
		f("/upload/v1beta/files?key=SECRET", "")
		f("/upload/v1beta/files?key=group-a:SECRET", "/proxy/a")
		f("/upload/v1beta/files?group=group-a", "/proxy/a")
		f("/upload/v1beta/files", "/proxy/a", "x-goog-api-key", "group-a:SECRET")
		f("/upload/v1beta/files", "/proxy/a", "X-Proxy-Group", "group-a")
	}
}

// TestUploadURL says how the client has reached the proxy, and what is left
// alone.
func TestUploadURL(t *testing.T) {
	const up = "/upload/v1beta/files"
	r := newRig(t, plain, func(c *proxy.Config) {
		c.GroupMapping = map[string]string{"default": "", "group-a": "/proxy/a"}
	})
	f := func(path, name, given, want string, header ...string) {
		t.Helper()
		r.up.SetHandler(upstream.Always(upstream.Script{upstream.Status(200, map[string]string{name: given}, "{}")}))
		resp, _, err := r.post(path, "{}", header...)
		if err != nil || resp.Header.Get(name) != want || len(resp.Header.Values(name)) != 1 {
			t.Errorf("%s %s %q %q: %v %v, want %s", path, name, given, header, err, resp.Header, want)
		}
	}
	const url = "X-Goog-Upload-URL"
	here := r.up.URL() + up + "?upload_id=x"
	there := up + "?upload_id=x"
	f(up, url, here, "http://"+r.addr+there)
	f(up, url, here, "https://own.example"+there, "Host", "own.example", "X-Forwarded-Proto", "https")
	f(up, url, here, "https://own.example:444"+there, "Host", "127.0.0.1:8080", "X-Forwarded-Proto", "https, http", "X-Forwarded-Host", "own.example:444, b")
	f(up, url, here, "http://own.example"+there, "Host", "own.example", "X-Forwarded-Proto", "ftp", "X-Forwarded-Host", "<bad>")
	f(up, url, r.up.URL()+"/proxy/a"+there, "http://group-a.own.example"+there, "Host", "group-a.own.example")
	f(up, url, here+"&key=SECRET", "http://"+r.addr+there)
	f("/upload/v1beta/fileSearchStores/x:uploadToFileSearchStore", url, here, "http://"+r.addr+there)
	f("/resumable/upload/v1beta/files", "Location", here, "http://"+r.addr+there)
	f(up, "Location", there, there)
	for _, other := range []string{"https://storage.example/x", "", "not a url"} {
		f(up, url, other, other)
	}
	f("/v1beta/files/x", "Location", here, here)
	if strings.Contains(r.log.String(), "SECRET") {
		t.Error("a key is in the log")
	}
}

// A file that is uploaded may be JSON, and hold what a request holds.
func TestUploadedFileStaysAsItIs(t *testing.T) {
	const up = "/upload/v1beta/files"
	const file = `{"apiKey":"OF-THE-FILE","model":"models/fast","requests":[{"model":"fast"}],"thoughtSignature":"x"}`
	fl := newFleet(t, 1, func(c *proxy.Config, targets []proxy.TargetConfig) {
		c.Groups = []proxy.GroupConfig{{Name: "g", Targets: targets, Models: map[string]string{"fast": "gemini-2.5-flash"}}}
	})
	fl.up.SetHandler(plain)
	f := func(key, body, method, path string, header ...string) {
		t.Helper()
		fl.up.Reset()
		if _, _, err := fl.do(method, path, file, header...); err != nil || fl.up.Count() != 1 {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		q := fl.up.Requests()[0]
		if got := q.Header.Get("X-Goog-Api-Key"); got != key || string(q.Body) != body {
			t.Errorf("%s %s %q: key %q, %s", method, path, header, got, q.Body)
		}
	}
	for _, contentType := range []string{"application/json", "application/json; charset=utf-8", "text/plain"} {
		ct := []string{"Content-Type", contentType}
		for _, key := range []string{"", "K"} {
			h := append(ct, "x-goog-api-key", key)
			f(key, file, "POST", up+"?upload_id=x&upload_protocol=resumable", append(h, "X-Goog-Upload-Command", "upload, finalize", "X-Goog-Upload-Offset", "0")...)
			f(key, file, "POST", up+"?a=b", append(h, "x-goog-upload-command", "Upload")...)
			f(key, file, "PUT", up+"?upload%5Fid=x", h...)
			f(key, file, "POST", up+"?uploadType=media", h...)
			f(key, file, "POST", up+"?upload_protocol=raw", h...)
			f(key, file, "POST", up, append(h, "X-Goog-Upload-Protocol", "RAW")...)
		}
	}
	// What begins an upload describes the file, and may bring the key.
	const asked = `{"model":"models/gemini-2.5-flash","requests":[{"model":"gemini-2.5-flash"}],"thoughtSignature":"x"}`
	f("OF-THE-FILE", asked, "POST", up, "X-Goog-Upload-Protocol", "resumable", "X-Goog-Upload-Command", "start")
	f("K", asked, "POST", up+"?uploadType=resumable", "X-Goog-Api-Key", "K")
	f("OF-THE-FILE", asked, "POST", "/v1beta/files?upload_id=x")
}

// A key in a body that does not say it is JSON is found, and goes no further
// with another key either.
func TestKeyInUntypedBody(t *testing.T) {
	r := newRig(t, plain, nil)
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
		for key, want := range map[string]string{"": "B", "K": "K"} {
			r.up.Reset()
			if _, _, err := r.post("/v1beta/models/m:countTokens", `{"apiKey":"B","contents":[]}`, "Content-Type", contentType, "X-Goog-Api-Key", key); err != nil {
				t.Fatal(err)
			}
			if q := r.up.Requests()[0]; q.Header.Get("X-Goog-Api-Key") != want || string(q.Body) != `{"contents":[]}` {
				t.Errorf("%q %q: %v %s", contentType, key, q.Header, q.Body)
			}
		}
	}
}

// Nor does one in a larger body, or in one that comes in chunks.
func TestKeyBesideAnotherInLargeBody(t *testing.T) {
	r := newRig(t, plain, nil)
	for _, size := range []int{10, 100 << 10, 900 << 10} {
		rest := `"contents":"` + strings.Repeat("x", size) + `"}`
		for _, chunked := range []bool{false, true} {
			r.up.Reset()
			req, _ := http.NewRequest("POST", "http://"+r.addr+"/v1beta/models/m:countTokens", strings.NewReader(`{"apiKey":"B",`+rest))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("X-Goog-Api-Key", "K")
			if chunked {
				req.ContentLength = -1
			}
			resp, err := new(http.Transport).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if q := r.up.Requests()[0]; q.Header.Get("X-Goog-Api-Key") != "K" || string(q.Body) != "{"+rest {
				t.Errorf("%d bytes, chunked %t: %v %.40s", size, chunked, q.Header, q.Body)
			}
		}
	}
}

// TestLongUpload: the answer to an upload is waited for from the end of the
// upload on, however long that takes.
func TestLongUpload(t *testing.T) {
	r := newRig(t, plain, func(c *proxy.Config) { c.FirstEventTimeout = time.Second })
	for _, length := range []int64{120 << 10, -1} {
		body, w := io.Pipe()
		go func() {
			for range 12 {
				w.Write(make([]byte, 10<<10))
				time.Sleep(100 * time.Millisecond)
			}
			w.Close()
		}()
		req, _ := http.NewRequest("PUT", "http://"+r.addr+"/upload/x", body)
		req.ContentLength = length
		req.Header.Set("Content-Type", "video/mp4")
		resp, err := new(http.Transport).RoundTrip(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%d: %v %v", length, resp, err)
		}
		resp.Body.Close()
	}
	// Afterwards it is not waited for longer than that.
	r.up.SetStreamer(func(_ *upstream.Request, body io.Reader) upstream.Script {
		io.Copy(io.Discard, body)
		return upstream.Script{upstream.Stall()}
	})
	w := r.wire()
	w.send(media + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
	w.wants("POST", 504)
}

// TestRestOfTheAPI relays what is neither a stream nor an upload as it is.
func TestRestOfTheAPI(t *testing.T) {
	r := newRig(t, plain, nil)
	f := func(method, target, body string, status int, header map[string]string, answer string, send ...string) {
		t.Helper()
		r.up.Reset()
		r.up.SetHandler(upstream.Always(upstream.Script{upstream.Status(status, header, answer)}))
		resp, got, err := r.do(method, target, body, send...)
		if err != nil || resp.StatusCode != status || got != answer {
			t.Errorf("%s %s: %v %v %q", method, target, resp, err, got)
			return
		}
		for name, value := range header {
			if resp.Header.Get(name) != value {
				t.Errorf("%s %s: %s is %q", method, target, name, resp.Header.Get(name))
			}
		}
		q := r.arrived(0)
		if q.Method != method || q.Target != target || string(q.Body) != body {
			t.Errorf("%s %s arrived as\n%s%s", method, target, q.Raw, q.Body)
		}
		for i := 0; i < len(send); i += 2 {
			if q.Header.Get(send[i]) != send[i+1] {
				t.Errorf("%s %s: %s arrived as %q", method, target, send[i], q.Header.Get(send[i]))
			}
		}
	}
	media := map[string]string{"Content-Type": "video/mp4", "Accept-Ranges": "bytes", "ETag": `"x"`}
	f("GET", "/v1beta/files/abc:download?alt=media", "", 200, media, "\x00\x01bytes")
	f("GET", "/download/v1beta/files/abc:download?alt=media", "", 200, media, "bytes")
	f("GET", "/v1beta/files/abc:download?alt=media", "", 206,
		map[string]string{"Content-Type": "video/mp4", "Content-Range": "bytes 2-4/10"}, "cde", "Range", "bytes=2-4", "If-Range", `"x"`)
	f("GET", "/v1beta/files/abc:download?alt=media", "", 416,
		map[string]string{"Content-Range": "bytes */10"}, "", "Range", "bytes=20-")
	f("GET", "/v1beta/files?pageSize=10&pageToken=a%3D", "", 200, nil, `{"files":[]}`)
	f("DELETE", "/v1beta/files/abc", "", 200, nil, "{}")
	f("POST", "/v1beta/models/m:batchGenerateContent", `{"batch":{"inputConfig":{"fileName":"files/x"}}}`, 200, nil, `{"name":"batches/x"}`)
	f("GET", "/v1beta/batches/x", "", 200, nil, `{"name":"batches/x","metadata":{"state":"BATCH_STATE_RUNNING"}}`)
	f("POST", "/v1beta/batches/x:cancel", "{}", 200, nil, "{}")
	f("POST", "/v1beta/cachedContents", `{"model":"models/m","ttl":"300s"}`, 200, nil, `{"name":"cachedContents/x"}`)
	f("PATCH", "/v1beta/cachedContents/x?updateMask=ttl", `{"ttl":"600s"}`, 200, nil, `{"name":"cachedContents/x"}`)
	f("DELETE", "/v1beta/cachedContents/x", "", 200, nil, "{}")
	f("POST", "/v1beta/models/veo:predictLongRunning", `{"instances":[{"prompt":"x"}]}`, 200, nil, `{"name":"models/veo/operations/x"}`)
	f("GET", "/v1beta/models/veo/operations/x", "", 200, nil, `{"done":false}`)
	f("GET", "/v1beta/operations/x", "", 404, nil, `{"error":{"code":404,"message":"no","status":"NOT_FOUND"}}`)
	f("POST", "/v1beta/models/m:embedContent", `{"content":{}}`, 429, map[string]string{"Retry-After": "7"}, `{"error":{"code":429}}`)
	// A batch's results come as one line of JSON for each request, in pieces.
	r.up.SetHandler(upstream.Always(upstream.Script{
		upstream.Head(200, upstream.Chunked, "Content-Type", "application/jsonl"), upstream.Send("{\"key\":\"1\"}\n{\"ke"), upstream.Send("y\":\"2\"}\n"),
	}))
	if _, got, err := r.do("GET", "/download/v1beta/files/batch-x:download?alt=media", ""); err != nil || got != "{\"key\":\"1\"}\n{\"key\":\"2\"}\n" {
		t.Errorf("%q %v", got, err)
	}
	// One that breaks off does not look whole.
	r.up.SetHandler(upstream.Always(upstream.Script{upstream.Head(200, upstream.Length(100)), upstream.Send("half"), upstream.Cut()}))
	if _, got, err := r.do("GET", "/v1beta/files/abc:download?alt=media", ""); err == nil || got != "half" {
		t.Errorf("%q %v", got, err)
	}
}
