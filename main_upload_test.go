package main

import (
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"gemini-resilient-proxy/bench/upstream"
)

const (
	large = 300 << 20 // bytes of the file that is sent and fetched
	part  = 8 << 20   // bytes of a piece of it
)

// noise is what files are made of. Its length fits into no piece evenly, so
// that a piece in the wrong place is seen.
var noise = func() []byte {
	b := make([]byte, 1<<20+7)
	for i := range b {
		b[i] = byte(uint64(i) * 0x9e3779b97f4a7c15 >> 56)
	}
	return b
}()

// file is content of any length; its zero value is at the start.
type file struct{ at int }

func (f *file) Read(p []byte) (n int, err error) {
	for n < len(p) {
		n += copy(p[n:], noise[(f.at+n)%len(noise):])
	}
	f.at += n
	return n, nil
}

// store is an upload as the API keeps it: what has come, and its sum.
type store struct {
	size int64
	sum  uint32
	last string // the last command
}

// take is a Streamer that speaks the resumable protocol.
func (st *store) take(origin string) upstream.Streamer {
	return func(q *upstream.Request, body io.Reader) upstream.Script {
		command := q.Header.Get("X-Goog-Upload-Command")
		switch {
		case q.Method == "GET":
			return nil
		case command == "start":
			io.Copy(io.Discard, body)
			return upstream.Script{upstream.Status(200, map[string]string{
				"X-Goog-Upload-Status": "active", "X-Goog-Upload-URL": origin + q.Target + "?upload_id=x&upload_protocol=resumable",
			}, "")}
		case q.Header.Get("X-Goog-Upload-Offset") != strconv.FormatInt(st.size, 10):
			return upstream.Script{upstream.Status(400, nil, "wrong offset")}
		}
		n, err := io.Copy(&sum{st}, body)
		if err != nil {
			return upstream.Script{upstream.Cut()}
		}
		st.size, st.last = st.size+n, command
		status := "active"
		if strings.Contains(command, "finalize") {
			status = "final"
		}
		return upstream.Script{upstream.Status(200, map[string]string{"X-Goog-Upload-Status": status}, "{}")}
	}
}

// sum adds what is written to the sum of a store.
type sum struct{ st *store }

func (s *sum) Write(p []byte) (int, error) {
	s.st.sum = crc32.Update(s.st.sum, crc32.IEEETable, p)
	return len(p), nil
}

// peak returns the most memory that a process has held, in bytes, 0 where that
// is not known.
func peak(pid int) int64 { return memory(pid, "VmHWM:") }

// TestLargeFile sends 300 MiB through the program in pieces, in both framings,
// and fetches them again. The program's memory stays what it was.
func TestLargeFile(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 900 MiB")
	}
	s := serving(t, upstream.Always(nil), "ADMIN_ADDR=", `GROUP_MAPPING={"default":"","a":"/proxy/a"}`)
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.public)
		},
	}}
	send := func(url, command string, offset int64, body io.Reader, length int64, header ...string) *http.Response {
		t.Helper()
		req, err := http.NewRequest("POST", url, body)
		if err != nil {
			t.Fatal(err)
		}
		req.ContentLength = length
		req.Header.Set("X-Goog-Upload-Command", command)
		req.Header.Set("X-Goog-Upload-Offset", strconv.FormatInt(offset, 10))
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Fatalf("%s at %d: %d", command, offset, resp.StatusCode)
		}
		return resp
	}
	begin := func(st *store) string {
		t.Helper()
		s.up.SetStreamer(st.take(s.up.URL()))
		resp := send("http://proxy/upload/v1beta/files", "start", 0, strings.NewReader(`{"file":{}}`), 11,
			"X-Goog-Upload-Protocol", "resumable", "Content-Type", "application/json", "x-goog-api-key", "a:KEY")
		url := resp.Header.Get("X-Goog-Upload-URL")
		if url != "http://proxy/upload/v1beta/files?upload_id=x&upload_protocol=resumable&group=a" {
			t.Fatalf("the URL to upload to: %s", url)
		}
		return url
	}
	// Whatever is set up at the first request is set up now.
	begin(&store{})
	before := peak(s.cmd.Process.Pid)
	s.up.SetRecord(false)

	var whole store
	io.CopyN(&sum{&whole}, &file{}, large)
	for _, size := range []int64{part, large} { // in pieces, and all at once
		var st store
		url := begin(&st)
		content := &file{}
		for at := int64(0); at < large; at += size {
			n := min(size, large-at)
			command, length := "upload", n
			if at+n == large {
				command = "upload, finalize"
			}
			if size == part && at/part%2 == 1 || size == large && at == 0 {
				length = -1
			}
			resp := send(url, command, at, io.LimitReader(content, n), length, "Content-Type", "video/mp4")
			if final := resp.Header.Get("X-Goog-Upload-Status") == "final"; final != (at+n == large) {
				t.Fatalf("status %q at %d", resp.Header.Get("X-Goog-Upload-Status"), at)
			}
		}
		if st.size != large || st.sum != whole.sum {
			t.Errorf("%d bytes arrived, sum %x, want %x", st.size, st.sum, whole.sum)
		}
	}
	s.up.SetStreamer(nil)
	for _, framing := range []upstream.Framing{upstream.Length(large), upstream.Chunked} {
		s.up.SetHandler(upstream.Always(download(framing)))
		resp, err := client.Get("http://proxy/v1beta/files/x:download?alt=media")
		if err != nil {
			t.Fatal(err)
		}
		var got store
		n, err := io.Copy(&sum{&got}, resp.Body)
		resp.Body.Close()
		if n != large || err != nil || got.sum != whole.sum {
			t.Errorf("%d bytes, %v, sum %x, want %x", n, err, got.sum, whole.sum)
		}
	}
	if after := peak(s.cmd.Process.Pid); before > 0 {
		t.Logf("memory %d KiB, at most %d KiB", before>>10, after>>10)
		if after > before+32<<20 && !raceEnabled {
			t.Error("that is more than 32 MiB more")
		}
	}
}

// download sends the file in pieces that are made when they are sent.
func download(framing upstream.Framing) upstream.Script {
	script := upstream.Script{upstream.Head(200, framing, "Content-Type", "video/mp4")}
	content := &file{}
	for n := 0; n < large; n += part {
		p := make([]byte, min(part, large-n))
		content.Read(p)
		script = append(script, upstream.Send(p))
	}
	return script
}

// memory returns a size from the status of a process in bytes, 0 where that is
// not known.
func memory(pid int, name string) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
