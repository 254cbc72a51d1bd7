package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

// TestCanaryInCrash ends the program with the stacks of all its goroutines on
// stderr, as a panic that nothing catches does, while requests with canaries are
// under way, in both forms of the log.
func TestCanaryInCrash(t *testing.T) {
	const key, answer = "AIzaCANARYKEYCANARY", "CANARYANSWERCANARY"
	for _, format := range []string{"json", "text"} {
		release := make(chan struct{})
		up := func(q *upstream.Request) upstream.Script {
			if strings.HasSuffix(q.Target, "/bare") {
				return upstream.Script{upstream.Send(answer), upstream.Hold(release)}
			}
			return upstream.Script{upstream.As(q.Surface()), upstream.Text(answer), upstream.Text(answer), upstream.Hold(release)}
		}
		file := filepath.Join(t.TempDir(), "keys")
		if err := os.WriteFile(file, []byte(key+"POOL\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(t.TempDir(), "config.yaml")
		if err := os.WriteFile(config, []byte("groups: {default: {}, pool: {keys: 'file:"+file+"'}}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s := servingWith(t, up, []string{"-config", config}, "DEBUG_MODE=true", "LOG_FORMAT="+format, "GOTRACEBACK=all")
		requests := []string{
			"GET /v1/bare HTTP/1.1\r\nHost: a\r\nx-goog-api-key: " + key + "\r\n\r\n",
			"GET /v1/bare HTTP/1.1\r\nHost: a\r\nX-Proxy-Group: pool\r\n\r\n",
			"POST /upload/v1/bare HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + key + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nCANAR\r\n0\r\n\r\n",
		}
		for _, target := range []string{"/v1beta/models/m:streamGenerateContent?alt=sse&key=" + key, "/v1beta/models/m:streamGenerateContent", "/v1beta/models/m:generateContent", "/v1beta/openai/chat/completions"} {
			body := fmt.Sprintf(`{"apiKey":%q,"stream":true,"model":"m","messages":[{"role":"user","content":"CANARYPROMPT"}],"contents":[{"role":"user","parts":[{"text":"CANARYPROMPT"}]}]}`, key)
			requests = append(requests, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", target, len(body), body))
		}
		for _, request := range requests {
			io.WriteString(s.dial(s.public), request)
		}
		if !s.up.Await(patience, func() bool { return s.up.Live() == len(requests) }) {
			t.Fatalf("%d of %d requests arrived", s.up.Live(), len(requests))
		}
		s.cmd.Process.Signal(syscall.SIGQUIT)
		s.ends(2)
		close(release)
		out := s.stderr.Bytes()
		if !bytes.Contains(out, []byte("goroutine ")) || !bytes.Contains(out, []byte("proxy.(*Server)")) {
			t.Errorf("no stacks:\n%s", out)
		}
		if i := bytes.Index(out, []byte("CANAR")); i >= 0 {
			t.Errorf("stderr shows …%s", out[max(0, i-200):min(len(out), i+100)])
		}
	}
}
