package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// patience is how long a client waits for the end of an answer.
const patience = 3 * time.Minute

// moment is when an arrival was due.
type moment = time.Time

// client asks questions at the proxy, and some at the upstream itself.
type client struct {
	proxy, up string // base URLs
	scripted  *scripted
	tally     *tally
	through   *http.Client
	slowly    *http.Client
}

func newClient(proxy string, s *scripted, t *tally) *client {
	keep := &http.Transport{MaxIdleConnsPerHost: 4096, DisableCompression: true, IdleConnTimeout: 5 * time.Second}
	// A small window makes the proxy wait for its client.
	tight := &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := c.(*net.TCPConn); ok {
			tcp.SetReadBuffer(4 << 10)
		}
		return c, err
	}}
	return &client{proxy: proxy, up: s.URL(), scripted: s, tally: t, through: &http.Client{Transport: keep}, slowly: &http.Client{Transport: tight}}
}

func (c *client) close() {
	c.through.CloseIdleConnections()
	c.slowly.CloseIdleConnections()
}

// post sends a request. The caller closes the body.
func (c *client) post(ctx context.Context, hc *http.Client, url string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", url, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("x-goog-api-key", "KEY")
	return hc.Do(req)
}

// question is what the upstream tells conversations by.
func question(n int) (text, mark string) {
	mark = fmt.Sprintf("[soak-%d#1]", n)
	return "Why is the sky blue? " + mark, mark
}

// onSurface is a question over a surface, whose answer breaks in some way.
func onSurface(name string) func(*client, int, moment) (verdict, error) {
	i := slices.IndexFunc(surfaces, func(s surface) bool { return s.name == name })
	return func(c *client, n int, due moment) (verdict, error) {
		s := &surfaces[i]
		all := faultsOf(s)
		f := all[rand.IntN(len(all))]
		v, err := c.converse(s, f, n, due)
		if err != nil {
			err = fmt.Errorf("%s, %s: %w", s.name, f.Name, err)
		}
		return v, err
	}
}

func (c *client) converse(s *surface, f upstream.Fault, n int, due moment) (verdict, error) {
	text, mark := question(n)
	defer c.scripted.faulty.Forget(mark)
	a := new(answer)
	timed := s.streams() && !slices.Contains(beforeText, f.Name)
	if err := c.fetch(c.through, c.proxy, s, f.ModelName(), text, due, timed, a); err != nil {
		return hung, err
	}
	return a.judge(f, firstAnswer)
}

// fetch asks and reads the answer to its end. The error is one of patience.
func (c *client) fetch(hc *http.Client, base string, s *surface, model, text string, due moment, timed bool, a *answer) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := c.post(ctx, hc, base+s.target(model), strings.NewReader(s.ask(model, text)))
	if err != nil {
		a.fail(err.Error())
		return ctx.Err()
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	if resp.StatusCode != 200 {
		io.Copy(io.Discard, resp.Body)
		a.fail("a status")
		return ctx.Err()
	}
	way := wayThrough
	if base == c.up {
		way = wayDirect
	}
	err = s.read(resp.Body, func(m *message) {
		if timed {
			c.tally.time(way, time.Since(due))
			timed = false
		}
		a.add(m)
	})
	if err != nil {
		a.fail(err.Error())
	}
	return ctx.Err()
}

// direct asks the upstream itself, for the time that all takes without the
// proxy.
func (c *client) direct(n int, due moment) (verdict, error) {
	text, mark := question(n)
	defer c.scripted.faulty.Forget(mark)
	a := new(answer)
	f := upstream.Faults[0]
	if err := c.fetch(c.through, c.up, &surfaces[0], f.ModelName(), text, due, true, a); err != nil {
		return hung, err
	}
	return a.judge(f, firstAnswer)
}

// short is a request of which nothing is healed.
func (c *client) short(n int, due moment) (verdict, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := c.post(ctx, c.through, c.proxy+pathShort, strings.NewReader(shortQuestion))
	if err != nil {
		return c.broken(ctx, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return c.broken(ctx, err)
	}
	if resp.StatusCode != 200 || string(got) != shortAnswer {
		return wrong, fmt.Errorf("short: status %d, %d bytes", resp.StatusCode, len(got))
	}
	c.tally.time(wayShort, time.Since(due))
	return whole, nil
}

var shortQuestion = `{"content":{"parts":[{"text":"` + strings.Repeat("word ", 190) + `"}]}}`

// broken is a request that ended in an error.
func (c *client) broken(ctx context.Context, err error) (verdict, error) {
	if ctx.Err() != nil {
		return hung, err
	}
	return unhealed, err
}

// uploaded is what uploads are made of.
var uploaded = func() []byte {
	b := make([]byte, 2<<20)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}()

// upload sends up to two MiB, with and without a stated length, and now and
// then not to the end.
func (c *client) upload(n int, due moment) (verdict, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	file := uploaded[:rand.IntN(len(uploaded))]
	var body io.Reader = bytes.NewReader(file)
	leaves := rand.IntN(8) == 0
	switch {
	case leaves:
		body = io.MultiReader(bytes.NewReader(file[:len(file)/2]), brokenReader{})
	case rand.IntN(2) == 0:
		body = io.MultiReader(body) // its length is not known
	}
	resp, err := c.post(ctx, c.through, c.proxy+pathUpload, body)
	if err != nil {
		if leaves && ctx.Err() == nil {
			return left, nil
		}
		return c.broken(ctx, fmt.Errorf("upload: %w", err))
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return c.broken(ctx, fmt.Errorf("upload: %w", err))
	}
	if want := uploadAnswer(int64(len(file)), crc32.ChecksumIEEE(file)); leaves || resp.StatusCode != 200 || string(got) != want {
		return wrong, fmt.Errorf("upload: status %d, %s, want %s", resp.StatusCode, clip(string(got)), want)
	}
	return whole, nil
}

var errLeaves = errors.New("the client goes away")

// brokenReader is a body that never comes to its end.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errLeaves }
