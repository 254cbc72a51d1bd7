package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// clients ask 200 questions a second, whether or not the answers come: every
// other on a connection of its own.
type clients struct {
	t     *testing.T
	begun atomic.Int64
	whole atomic.Int64
	stop  chan struct{}
	wg    sync.WaitGroup
	kept  *http.Client
	fresh *http.Client
}

// pace is the time between two questions.
const pace = 5 * time.Millisecond

// crowdAt starts them. addr is host:port or the path of a Unix socket.
func crowdAt(t *testing.T, addr string) *clients { return startClients(t, addr, 2) }

// startClients starts them, each on a connection of its own but every n-th, which
// keeps its; 0: all have their own.
func startClients(t *testing.T, addr string, n int) *clients {
	dial := dialer(addr)
	c := &clients{t: t, stop: make(chan struct{}),
		kept:  &http.Client{Transport: &http.Transport{DialContext: dial, MaxIdleConnsPerHost: 100}},
		fresh: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}},
	}
	c.wg.Go(func() {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-c.stop:
				return
			case <-tick.C:
			}
			client := c.fresh
			if n > 0 && i%n == 1 {
				client = c.kept
			}
			c.begun.Add(1)
			c.wg.Go(func() { c.one(client, i) })
		}
	})
	return c
}

// dialer connects to addr, host:port or the path of a Unix socket, whatever is
// asked for.
func dialer(addr string) func(context.Context, string, string) (net.Conn, error) {
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
}

// one asks for the story, or for something that is relayed.
func (c *clients) one(client *http.Client, i int) {
	var err error
	if i%5 == 0 {
		err = relayed(client, i)
	} else {
		err = (&crowd{t: c.t, client: client}).askAt("http://proxy", fmt.Sprint("question ", i))
	}
	if err != nil {
		c.t.Errorf("question %d: %v", i, err)
		return
	}
	c.whole.Add(1)
}

// relayed sends a body that comes back.
func relayed(client *http.Client, i int) error {
	body := fmt.Sprintf(`{"echo":%d}`, i)
	resp, err := client.Post("http://proxy/v1/echo", "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 || !bytes.Equal(b, []byte(body)) {
		return fmt.Errorf("status %d, %v, %q", resp.StatusCode, err, b)
	}
	return nil
}

// more waits until n more answers have come whole.
func (c *clients) more(n int64) {
	c.t.Helper()
	goal := c.whole.Load() + n
	for end := time.Now().Add(patience); c.whole.Load() < goal && !c.t.Failed(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("%d answers, want %d", c.whole.Load(), goal)
		}
	}
}

// leave stops asking and waits for all answers.
func (c *clients) leave() {
	close(c.stop)
	c.wg.Wait()
	c.kept.CloseIdleConnections()
}
