package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// Who sends all of a request before it reads is told why it is refused: its
// writes do not end in a reset.
func TestRefusalReachesWhoStillSends(t *testing.T) {
	t.Parallel()
	r := newRig(t, upstream.Always(steps(upstream.Status(200, nil, "{}"))), func(cfg *proxy.Config) { cfg.MaxBodyBytes = 1 << 20 })
	// More than all buffers of a connection hold.
	const large = 32 << 20
	body := strings.Repeat("x", large)
	f := func(name string, status int, head, body string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := r.dial()
			if _, err := io.WriteString(c, head+body); err != nil {
				t.Fatalf("sending: %v", err)
			}
			br := bufio.NewReader(c)
			resp, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != status || !resp.Close || !strings.Contains(string(said), fmt.Sprintf(`"code": %d,`, status)) {
				t.Errorf("%d %v %q, %v", resp.StatusCode, resp.Header, said, err)
			}
			if n, err := br.ReadByte(); err != io.EOF {
				t.Errorf("%q, %v behind it", n, err)
			}
		})
	}
	post := func(target, field string) string {
		return "POST " + target + " HTTP/1.1\r\nHost: a\r\n" + field + "\r\n\r\n"
	}
	length := fmt.Sprint("Content-Length: ", large)
	f("length", 413, post(streamPath, length), body)
	f("chunks", 413, post(streamPath, "Transfer-Encoding: chunked"), strings.Repeat("10000\r\n"+body[:1<<16]+"\r\n", large>>16)+"0\r\n\r\n")
	f("no chunk", 400, post(streamPath, "Transfer-Encoding: chunked"), "no length\r\n"+body)
	f("no length", 400, post(streamPath, "Content-Length: much"), body)
	f("two lengths", 400, post(streamPath, "Content-Length: 1\r\n"+length), body)
	f("path", 400, post("/a/../b", length), body)
	f("head", 431, "GET / HTTP/1.1\r\nHost: a\r\n", "X: "+body+"\r\n\r\n")
}
