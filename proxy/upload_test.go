package proxy_test

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

const media = "POST /upload/v1beta/files HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\n"

// TestUpload sends bodies of many sizes in both framings and compares the sum.
func TestUpload(t *testing.T) {
	r := newRig(t, plain, nil)
	for _, kind := range []string{"image/png", "application/json"} {
		for _, size := range []int{0, 1, 255, 4096, 65535, 65536, 65537, 1 << 20, 1<<20 + 1, 3 << 20} {
			for _, chunked := range []bool{false, true} {
				r.up.Reset()
				data := bytes.Repeat([]byte("0123456789abcdef-"), size/17+1)[:size]
				req, _ := http.NewRequest("PUT", "http://"+r.addr+"/upload", struct{ io.Reader }{bytes.NewReader(data)})
				if !chunked {
					req.ContentLength = int64(size)
				}
				req.Header.Set("Content-Type", kind)
				resp, err := new(http.Transport).RoundTrip(req)
				if err != nil || resp.StatusCode != 200 {
					t.Fatalf("%s, %d, chunked %v: %v %v", kind, size, chunked, resp, err)
				}
				resp.Body.Close()
				if q := r.arrived(0); q.BodyLen != int64(size) || q.BodySum != crc32.ChecksumIEEE(data) {
					t.Errorf("%s, %d, chunked %v: %d bytes arrived, sum differs", kind, size, chunked, q.BodyLen)
				}
			}
		}
	}
}

// TestUploadExpect waits for the interim response before it sends the body.
func TestUploadExpect(t *testing.T) {
	r := newRig(t, plain, nil)
	f := func(head, body string) {
		t.Helper()
		w := r.wire()
		w.t = t
		w.send(head + "Expect: 100-continue\r\n\r\n")
		if got := readHead(t, w); string(got) != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Fatalf("got %q", got)
		}
		w.send(body)
		w.wants("POST", 200)
		if q := r.arrived(r.up.Count() - 1); q.BodyErr != nil || !strings.Contains(body, string(q.Body)) || countLines(q.Raw, "Expect") != 0 {
			t.Errorf("arrived:\n%s%s", q.Raw, q.Body)
		}
	}
	f(media+"Content-Length: 5\r\n", "hello")
	f(media+"Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")
	f("POST /v1/m:countTokens HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2\r\n", "{}")
}

// TestUploadAnsweredEarly answers before the upload is over: the client gets
// the answer, whole, while it is still sending.
func TestUploadAnsweredEarly(t *testing.T) {
	r := newRig(t, plain, nil)
	r.up.SetStreamer(func(_ *upstream.Request, body io.Reader) upstream.Script {
		io.ReadFull(body, make([]byte, 5))
		return upstream.Script{upstream.Status(403, nil, "no more of this")}
	})
	f := func(head, part string) {
		t.Helper()
		w := r.wire()
		w.t = t
		w.send(media + head + "\r\n" + part)
		if resp, body := w.wants("POST", 403); body != "no more of this" {
			t.Errorf("%v %q", resp, body)
		}
		if !w.closed() {
			t.Error("the connection stays open in the middle of a body")
		}
		r.idle()
	}
	f("Content-Length: 1000000\r\n", strings.Repeat("x", 100))
	f("Content-Length: 100000\r\n", strings.Repeat("x", 70000))
	f("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n")
}

// TestEarlyAnswerReachesWhoStillSends sends all of an upload that is answered in
// the middle of it, with whatever status, and reads then.
func TestEarlyAnswerReachesWhoStillSends(t *testing.T) {
	t.Parallel()
	r := newRig(t, plain, nil)
	const large = 32 << 20 // more than all buffers of a connection hold
	for _, status := range []int{200, 308, 403, 500} {
		r.up.SetStreamer(func(_ *upstream.Request, body io.Reader) upstream.Script {
			io.ReadFull(body, make([]byte, 5))
			return upstream.Script{upstream.Status(status, nil, "no more of this")}
		})
		for _, send := range []string{
			fmt.Sprintf("Content-Length: %d\r\n\r\n%s", large, strings.Repeat("x", large)),
			"Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("10000\r\n"+strings.Repeat("x", 1<<16)+"\r\n", large>>16) + "0\r\n\r\n",
		} {
			w := r.wire()
			if _, err := io.WriteString(w, media+send); err != nil {
				t.Fatalf("%d: sending: %v", status, err)
			}
			if _, body := w.wants("POST", status); body != "no more of this" {
				t.Errorf("%d: %q", status, body)
			}
			if n, err := w.r.ReadByte(); err != io.EOF {
				t.Errorf("%d: %q, %v behind it", status, n, err)
			}
			w.Close()
		}
		r.idle()
	}
}

// TestUploadBehindAnswer: an upload that is answered while it is still sent on,
// by another goroutine, comes behind another request. What is kept of the first
// answer is written by one of the two alone.
func TestUploadBehindAnswer(t *testing.T) {
	t.Parallel()
	for _, size := range []int{500, 1500, 2500, 40000} {
		answer := strings.Repeat("x", size)
		r := newRig(t, plain, nil)
		r.up.SetStreamer(func(q *upstream.Request, body io.Reader) upstream.Script {
			if q.Method == "POST" {
				io.ReadFull(body, make([]byte, 5))
			}
			return upstream.Script{upstream.Status(200, nil, answer)}
		})
		for range 50 {
			w := r.wire()
			w.send(getRequest + media + "Content-Length: 100000\r\n\r\nhello")
			for _, method := range []string{"GET", "POST"} {
				if _, body := w.wants(method, 200); body != answer {
					t.Fatalf("%s: %q", method, tail(body, 100))
				}
			}
			w.Close()
		}
	}
}

// TestCutUploadIsNotWhole leaves in the middle of an upload, in every way and
// between two chunks too. The upstream must not take what came for the whole.
func TestCutUploadIsNotWhole(t *testing.T) {
	r := newRig(t, plain, nil)
	json := "POST /v1/m:countTokens HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
	healed := "POST " + streamPath + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
	for _, head := range []string{media, json, healed} {
		for _, body := range []string{
			"Content-Length: 100000\r\n\r\nhello", "Content-Length: 10\r\n\r\nhello", "Content-Length: 10\r\n\r\n",
			"Transfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello",
			"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
			"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nX-A: b\r\n",
		} {
			for _, leave := range []func(*wire){
				func(w *wire) { w.CloseWrite() },
				func(w *wire) { w.Close() },
				func(w *wire) { w.SetLinger(0); w.Close() },
			} {
				for range 3 {
					w := r.wire()
					w.send(head + body)
					leave(w)
				}
			}
		}
	}
	r.idle()
	if !r.up.Await(patience, func() bool { return r.up.Live() == 0 }) {
		t.Error("requests live on upstream")
	}
	for _, q := range r.up.Requests() {
		if q.BodyErr == nil {
			t.Errorf("taken for whole:\n%s%q", q.Raw, q.Body)
		}
	}
}

// TestUploadAborted leaves while the upstream is reading: its connection ends.
func TestUploadAborted(t *testing.T) {
	r := newRig(t, plain, nil)
	begun, ended := make(chan struct{}), make(chan error, 1)
	r.up.SetStreamer(func(_ *upstream.Request, body io.Reader) upstream.Script {
		io.ReadFull(body, make([]byte, 5))
		close(begun)
		_, err := io.Copy(io.Discard, body)
		ended <- err
		return upstream.Script{upstream.Cut()}
	})
	w := r.wire()
	w.send(media + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
	r.await("the upload to begin", begun)
	w.Close()
	if err := <-ended; err == nil {
		t.Error("the upload ended as if it were whole")
	}
	r.idle()
}

// TestUploadRefused loses the upstream in the middle of an upload.
func TestUploadRefused(t *testing.T) {
	r := newRig(t, plain, nil)
	for _, end := range []upstream.Step{upstream.Cut(), upstream.Reset()} {
		r.up.SetStreamer(func(_ *upstream.Request, body io.Reader) upstream.Script {
			io.ReadFull(body, make([]byte, 5))
			return upstream.Script{end}
		})
		w := r.wire()
		w.send(media + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
		if _, body := w.wants("POST", 502); !strings.Contains(body, `"code": 502`) {
			t.Errorf("body: %s", body)
		}
		w.closed()
		r.idle()
	}
}

// TestTooLargeBody meets MAX_BODY_BYTES of a healed request to the byte.
func TestTooLargeBody(t *testing.T) {
	const limit = 4096
	m := &upstream.Model{Answer: "short"}
	r := newRig(t, m.Handle, func(c *proxy.Config) { c.MaxBodyBytes = limit })
	head := "POST " + streamPath + " HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
	f := func(size, status int, chunked bool) {
		t.Helper()
		r.up.Reset()
		body := ask(strings.Repeat("x", size-len(ask(""))))
		w := r.wire()
		w.t = t
		if chunked {
			w.send(fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(body), body))
		} else {
			w.send(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body))
		}
		_, got := w.wants("POST", status)
		if status == 200 {
			return
		}
		if !strings.Contains(got, `"code": 413`) || !w.closed() || r.up.Count() != 0 {
			t.Errorf("size %d: %d upstream requests, %s", size, r.up.Count(), got)
		}
	}
	for _, chunked := range []bool{false, true} {
		f(limit-1, 200, chunked)
		f(limit, 200, chunked)
		f(limit+1, 413, chunked)
		f(100*limit, 413, chunked)
		f(2000*limit, 413, chunked)
	}
	// A length that is only announced is refused with the first byte.
	w := r.wire()
	w.send(head + "Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n{")
	w.wants("POST", 413)
}

// peak is the most memory that a test has seen alive, in bytes: what a body
// that is buffered would take, and garbage does not.
type peak struct{ heap uint64 }

func (p *peak) look() {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	p.heap = max(p.heap, m.HeapAlloc)
}

// since fails the test when more than 32 MiB were added to p.
func (p *peak) since(t *testing.T, before peak) {
	t.Helper()
	const most = 32 << 20
	if p.heap > before.heap+most {
		t.Errorf("heap %d -> %d MiB", before.heap>>20, p.heap>>20)
	}
}

const huge = 200 << 20

// TestHugeUpload sends 200 MiB in constant memory.
func TestHugeUpload(t *testing.T) {
	r := newRig(t, plain, nil)
	for _, length := range []int64{huge, -1} {
		var before, during peak
		before.look()
		r.up.SetStreamer(func(q *upstream.Request, body io.Reader) upstream.Script {
			for {
				if _, err := io.CopyN(io.Discard, body, 16<<20); err != nil {
					return nil
				}
				during.look()
			}
		})
		req, _ := http.NewRequest("POST", "http://"+r.addr+"/upload", io.LimitReader(zeros{}, huge))
		req.ContentLength = length
		resp, err := new(http.Transport).RoundTrip(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		resp.Body.Close()
		if q := r.up.Requests(); q[len(q)-1].BodyLen != huge {
			t.Errorf("%d bytes arrived", q[len(q)-1].BodyLen)
		}
		during.since(t, before)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestHugeDownload takes 200 MiB in constant memory.
func TestHugeDownload(t *testing.T) {
	const piece = 1 << 20
	steps := make(upstream.Script, 1+huge/piece)
	one := upstream.Send(make([]byte, piece))
	for i := range steps {
		steps[i] = one
	}
	r := newRig(t, plain, nil)
	for _, framing := range []upstream.Framing{upstream.Length(huge), upstream.Chunked} {
		steps[0] = upstream.Head(200, framing)
		r.up.SetHandler(upstream.Always(steps))
		var before, during peak
		before.look()
		req, _ := http.NewRequest("GET", "http://"+r.addr+"/download", nil)
		resp, err := new(http.Transport).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		n := int64(0)
		for err == nil {
			var m int64
			m, err = io.CopyN(io.Discard, resp.Body, 16<<20)
			n += m
			during.look()
		}
		resp.Body.Close()
		if n != huge || err != io.EOF {
			t.Errorf("%d bytes, %v", n, err)
		}
		during.since(t, before)
	}
}
