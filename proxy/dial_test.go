package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// listenAs is what a name leads to: it greets with name.
func listenAs(t *testing.T, name byte) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Write([]byte{name})
			c.Close()
		}
	}()
	return l
}

// resolver stands for the one of the system.
type resolver struct {
	asked int
	leads net.Listener // where the name leads to, nil: nowhere
	err   error
	slow  bool // it says err when there is no time left
}

func (r *resolver) dial(addr string, until time.Time) (net.Conn, error) {
	r.asked++
	if r.leads != nil {
		return net.Dial("tcp", r.leads.Addr().String())
	}
	if r.slow {
		<-time.After(time.Until(until))
	}
	return nil, &net.OpError{Op: "dial", Err: r.err}
}

// dials returns whom a connection greets with, 0 when there is none.
func dials(t *testing.T, d *dialer, within time.Duration) byte {
	t.Helper()
	c, err := d.dialTCP("upstream.example:443", time.Now().Add(within))
	if err != nil {
		return 0
	}
	defer c.Close()
	got := make([]byte, 1)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	return got[0]
}

// ages has d's memory be as old as age.
func (d *dialer) ages(age time.Duration) {
	f := *d.found.Load()
	f.fresh, f.stale = f.fresh.Add(-age), f.stale.Add(-age)
	d.found.Store(&f)
}

// TestNameIsResolvedOnceInAWhile: connections go where the last one went, for a
// minute, and as long as they can.
func TestNameIsResolvedOnceInAWhile(t *testing.T) {
	a, b := listenAs(t, 'a'), listenAs(t, 'b')
	r := &resolver{leads: a}
	d := &dialer{byName: r.dial}
	check := func(what string, want byte, asked int) {
		t.Helper()
		if got := dials(t, d, time.Minute); got != want || r.asked != asked {
			t.Errorf("%s: connected to %q, the resolver was asked %d times; want %q, %d", what, got, r.asked, want, asked)
		}
	}
	check("the first", 'a', 1)
	r.leads = b
	check("the second", 'a', 1)
	d.ages(freshFor)
	check("a minute later", 'b', 2)
	check("then", 'b', 2)
	r.leads = a
	b.Close()
	check("when it does not listen any more", 'a', 3)
	check("then", 'a', 3)
	// Who greets with a letter does not speak TLS.
	d.tls = &tls.Config{ServerName: "upstream.example"}
	d.connect = time.Minute
	if _, _, err := d.connectTo("upstream.example:443"); err == nil {
		t.Error("a handshake with a letter")
	}
	d.tls = nil
	check("after a handshake that failed", 'a', 4)
}

// TestNameThatCannotBeResolved: the last address is of use while the resolver
// says nothing, and is not when it says that there is no such name.
func TestNameThatCannotBeResolved(t *testing.T) {
	silent := &net.DNSError{Err: "i/o timeout", IsTimeout: true}
	for name, test := range map[string]struct {
		err     error
		slow    bool
		age     time.Duration
		nowhere bool // the address does not listen
		want    byte
		then    int // how often the resolver is asked for two connections
	}{
		"down":           {err: &net.DNSError{Err: "server misbehaving", IsTemporary: true}, age: time.Hour, want: 'a', then: 1},
		"silent":         {err: silent, slow: true, age: time.Hour, want: 'a', then: 1},
		"out of time":    {err: timedOut{}, slow: true, age: time.Hour, want: 'a', then: 1},
		"no such name":   {err: &net.DNSError{Err: "no such host", IsNotFound: true}, age: time.Hour, then: 2},
		"not listening":  {err: silent, age: time.Hour, nowhere: true, then: 2},
		"refused":        {err: errors.New("connection refused"), age: time.Hour, then: 2},
		"down for a day": {err: silent, age: staleFor + time.Second, then: 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := listenAs(t, 'a')
			r := &resolver{leads: a}
			d := &dialer{byName: r.dial}
			dials(t, d, time.Minute)
			d.ages(test.age)
			*r = resolver{err: test.err, slow: test.slow}
			if test.nowhere {
				a.Close()
			}
			within := time.Minute
			if test.slow {
				within = 4 * time.Second // of which the resolver takes half
			}
			for range 2 {
				if got := dials(t, d, within); got != test.want {
					t.Errorf("connected to %q, want %q", got, test.want)
				}
			}
			if r.asked != test.then {
				t.Errorf("asked %d times, want %d", r.asked, test.then)
			}
		})
	}
}

type timedOut struct{}

func (timedOut) Error() string   { return "i/o timeout" }
func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }
