package proxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gemini-resilient-proxy/bench/upstream"
	"gemini-resilient-proxy/proxy"
)

// The books of a proxy are right when everything that requests had on loan is
// back, and when they say of all requests what their clients say.

// ledger is what clients know of their requests.
type ledger struct {
	asked atomic.Int64    // whole heads that were sent to be answered
	class [6]atomic.Int64 // of answers, by the first digit of their status
	bytes atomic.Int64    // of bodies
	lost  atomic.Int64    // requests whose answers were not read to their end
}

// books is a proxy in front of an upstream that does what the requests' X-Test-Id
// says, and clients that ask, leave and send nonsense.
type books struct {
	*rig
	ledger
	chaos *chaos
	conf  *tls.Config // of clients, nil without TLS
	leave bool        // some clients leave
	burn  bool        // connections to the upstream panic
	ends  atomic.Bool // it is drained
}

// maxAtOnce is how many requests run at once.
const maxAtOnce = 24

// newBooks starts one of several kinds, chosen by rnd.
func newBooks(t *testing.T, rnd *rand.Rand) *books {
	b := &books{chaos: newChaos(rnd.Uint64()), leave: rnd.IntN(2) == 0}
	secure, behind, shadow, keys := rnd.IntN(3) == 0, rnd.IntN(2) == 0, rnd.IntN(3) == 0, rnd.IntN(2) == 0
	b.burn = !behind && rnd.IntN(3) == 0
	t.Logf("%d processors, clients leave %t, TLS %t and to the upstream %t, shadow %t, keys %t, panics %t",
		runtime.GOMAXPROCS(0), b.leave, secure, behind, shadow, keys, b.burn)
	b.rig = newRig(t, upstream.Always(nil), func(c *proxy.Config) {
		c.MaxStreams, c.MaxQueue, c.QueueTimeout = maxAtOnce, 100, patience
		c.StallTimeout, c.FirstEventTimeout = 200*time.Millisecond, time.Second
		c.MaxConsecutiveFailures, c.MaxAttempts, c.RetryAfterMax = 3, 6, 500*time.Millisecond
		c.DebugMode = false
		if secure {
			ca, dir := newAuthority(t), t.TempDir()
			c.TLSCertFile, c.TLSKeyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
			ca.write("one", c.TLSCertFile, c.TLSKeyFile)
			b.conf = &tls.Config{RootCAs: ca.pool(), ServerName: "127.0.0.1"}
		}
		if behind {
			proxy.BehindTLS(t, c, strings.TrimPrefix(c.UpstreamURLBase, "http://"))
		}
		if shadow {
			c.Heal = "shadow"
		}
		if keys {
			target := proxy.TargetConfig{URL: c.UpstreamURLBase}
			c.ListenAddr, c.GroupMapping, c.DefaultGroup = "127.0.0.1:0", nil, "g"
			c.Groups = []proxy.GroupConfig{{Name: "g", Targets: []proxy.TargetConfig{target, {URL: c.UpstreamURLBase, Path: "/other"}}, Secrets: secrets(3)}}
		}
	})
	if b.burn {
		b.server.Burn(func() int64 { return int64(rand.IntN(3) * rand.IntN(30)) })
	}
	b.up.SetRecord(false)
	b.up.SetHandler(b.answer)
	b.up.SetStreamer(func(q *upstream.Request, body io.Reader) upstream.Script {
		if !strings.Contains(q.Target, "early") {
			return nil
		}
		io.ReadFull(body, make([]byte, 5))
		return upstream.Script{upstream.Status(200, nil, strings.Repeat("x", 3000))}
	})
	return b
}

// client asks until it is told to stop.
func (b *books) client(rnd *rand.Rand, stop <-chan struct{}) error {
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		if err := b.connection(rnd); err != nil {
			return err
		}
	}
}

// connection sends requests on one connection, one after another or at once.
func (b *books) connection(rnd *rand.Rand) error {
	raw, err := net.Dial("tcp", b.addr)
	if err != nil {
		return err
	}
	defer raw.Close()
	c := raw
	if b.conf != nil {
		c = tls.Client(raw, b.conf)
	}
	in := bufio.NewReader(c)
	for range 1 + rnd.IntN(5) {
		raw.SetDeadline(time.Now().Add(patience))
		var together []booked
		text := ""
		for range 1 + rnd.IntN(3)*rnd.IntN(2) {
			q := b.request(rnd)
			together, text = append(together, q), text+q.text
			if q.last {
				break
			}
		}
		if b.leave && len(together) == 1 && rnd.IntN(4) == 0 {
			b.leaves(rnd, raw.(*net.TCPConn), c, in, together[0])
			return nil
		}
		go io.WriteString(c, text)
		for i, q := range together {
			more, err := b.reads(in, q)
			if err != nil && i == 0 {
				return fmt.Errorf("%.200q: %w", q.text, err)
			}
			if !more || q.last {
				return nil
			}
		}
	}
	return nil
}

// reads reads the answer to a request. more tells that there can be another one on
// the connection. An error is that there was no answer.
func (b *books) reads(in *bufio.Reader, q booked) (more bool, err error) {
	resp, err := http.ReadResponse(in, &http.Request{Method: q.method})
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != 101 {
		resp, err = http.ReadResponse(in, &http.Request{Method: q.method})
	}
	if err != nil {
		return false, err
	}
	b.asked.Add(1)
	b.class[resp.StatusCode/100].Add(1)
	var n int64
	if resp.StatusCode == 101 {
		n, err = io.Copy(io.Discard, in)
	} else {
		n, err = io.Copy(io.Discard, resp.Body)
	}
	if isHang(err) {
		return false, err
	}
	if !q.uncounted {
		b.bytes.Add(n)
	}
	return err == nil && !resp.Close, nil
}

// leaves sends a request and leaves before its answer has been read.
func (b *books) leaves(rnd *rand.Rand, raw *net.TCPConn, c net.Conn, in *bufio.Reader, q booked) {
	if _, err := io.WriteString(c, q.text); err != nil && !strings.Contains(q.text, "early") && !b.ends.Load() {
		b.t.Errorf("%.100q: %v", q.text, err)
	}
	b.asked.Add(1)
	b.lost.Add(1)
	switch rnd.IntN(3) {
	case 0:
		raw.CloseWrite()
		io.Copy(io.Discard, in)
	case 1:
		in.ReadByte()
		raw.SetLinger(0)
	}
}

// opened lets clients ask for some time, and waits for their last answers.
func (b *books) opened(seed uint64, d time.Duration) {
	stop := make(chan struct{})
	time.AfterFunc(d, func() { close(stop) })
	var all sync.WaitGroup
	for i := range uint64(2 * maxAtOnce) {
		all.Go(func() {
			if err := b.client(rand.New(rand.NewPCG(seed, i)), stop); err != nil && (!b.ends.Load() || isHang(err)) {
				b.t.Error(err)
			}
		})
	}
	all.Wait()
}

// settle compares what the proxy says of its requests with the ledger.
func (b *books) settle() {
	t := b.t
	t.Helper()
	b.idle()
	var back proxy.Loans
	if !eventually(func() bool { back = b.server.Loans(); return back == proxy.Loans{} }) {
		t.Errorf("at rest there is on loan %+v", back)
	}
	total, byClass, bytes := int64(0), [6]int64{}, int64(0)
	for series, value := range b.series() {
		n, _ := strconv.ParseFloat(value, 64)
		switch name, labels, _ := strings.Cut(series, "{"); name {
		case "gemini_proxy_requests_total":
			total += int64(n)
			_, code, _ := strings.Cut(labels, `code="`)
			byClass[max(0, strings.IndexByte("012345", code[0]))] += int64(n)
		case "gemini_proxy_response_bytes_total":
			bytes += int64(n)
		case "gemini_proxy_open_requests", "gemini_proxy_waiting_requests", "gemini_proxy_panics_total":
			if n != 0 && (name != "gemini_proxy_panics_total" || !b.burn) {
				t.Errorf("%s is %s", series, value)
			}
		}
	}
	asked, lost := b.asked.Load(), b.lost.Load()
	if lines := int64(strings.Count(b.log.String(), `"msg":"request"`)); total != asked || lines != asked {
		t.Errorf("%d requests are counted and %d logged of %d", total, lines, asked)
	}
	for class := range b.class {
		if n, told := byClass[class], b.class[class].Load(); n < told || n > told+lost {
			t.Errorf("%d answers of %dxx are counted of %d, beside %d that nobody read", n, class, told, lost)
		}
	}
	if told := b.bytes.Load(); lost == 0 && !b.burn && bytes != told {
		t.Errorf("%d bytes are counted of %d", bytes, told)
	}
	t.Logf("%d requests, %d of them left, %d attempts", asked, lost, b.up.Count())
}

// full has as many requests run as may, and no more.
func (b *books) full() {
	hold := make(chan struct{})
	b.up.SetStreamer(nil)
	b.up.SetHandler(upstream.Always(upstream.Script{upstream.Hold(hold), upstream.Status(200, nil, "{}")}))
	const more = 5
	var all sync.WaitGroup
	for range maxAtOnce + more {
		all.Go(func() {
			b.connectionOf(booked{method: "GET", last: true, text: "GET /v1/held HTTP/1.1\r\nHost: a\r\n\r\n"})
		})
	}
	if !eventually(func() bool {
		return b.server.Running() == maxAtOnce+more && b.up.Live() == maxAtOnce && b.metric("gemini_proxy_waiting_requests") == itoa(more)
	}) {
		b.t.Errorf("%d requests run, %d of them upstream, want %d and %d", b.server.Running(), b.up.Live(), maxAtOnce+more, maxAtOnce)
	}
	close(hold)
	all.Wait()
}

// drains ends the proxy while clients ask. What it counts of them then is what it
// logs, and nothing is on loan.
func (b *books) drains(seed uint64, rnd *rand.Rand) {
	b.up.SetHandler(b.answer)
	grace := time.Duration(rnd.IntN(400)) * time.Millisecond
	time.AfterFunc(200*time.Millisecond, func() {
		b.ends.Store(true)
		b.once.Do(func() {
			ctx, cancel := context.WithTimeout(context.Background(), grace)
			defer cancel()
			b.server.Drain(ctx)
			if err := <-b.served; err != nil {
				b.t.Errorf("Serve: %v", err)
			}
		})
	})
	b.opened(seed+1, time.Second)
	b.once.Do(func() {}) // is over
	b.idle()
	// A connection that was being made may still have its place.
	var back proxy.Loans
	if !eventually(func() bool { back = b.server.Loans(); return back == proxy.Loans{} }) {
		b.t.Errorf("behind a drain of %v there is on loan %+v", grace, back)
	}
	total := 0.0
	for series, value := range b.series() {
		if strings.HasPrefix(series, "gemini_proxy_requests_total{") {
			n, _ := strconv.ParseFloat(value, 64)
			total += n
		}
	}
	if lines := strings.Count(b.log.String(), `"msg":"request"`); float64(lines) != total {
		b.t.Errorf("behind a drain of %v %v requests are counted and %d logged", grace, total, lines)
	}
	b.up.Close()
}

func (b *books) connectionOf(q booked) {
	c, err := net.Dial("tcp", b.addr)
	if err == nil {
		defer c.Close()
		if b.conf != nil {
			c = tls.Client(c, b.conf)
		}
		io.WriteString(c, q.text)
		_, err = b.reads(bufio.NewReader(c), q)
	}
	if err != nil {
		b.t.Error(err)
	}
}

// TestBooks has many clients ask at once, for everything that can be asked for,
// in every way and with every fault, and looks at the books when all is quiet.
func TestBooks(t *testing.T) {
	seed := *chaosSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("go test -run TestBooks -chaos.seed %d", seed)
	for _, procs := range []int{1, 2, 4} {
		before := leftovers()
		t.Run(strconv.Itoa(procs), func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			rnd := rand.New(rand.NewPCG(seed, uint64(procs)))
			b := newBooks(t, rnd)
			b.opened(seed+uint64(procs), 1500*time.Millisecond)
			b.settle()
			if !b.burn {
				b.full()
				b.settle()
			}
			b.drains(seed, rnd)
		})
		var after left
		if !eventually(func() bool {
			after = leftovers()
			return after.fds <= before.fds && after.goroutines <= before.goroutines
		}) {
			t.Errorf("%d descriptors and %d goroutines, before %d and %d\n%s", after.fds, after.goroutines, before.fds, before.goroutines, after.stacks)
		}
	}
}
