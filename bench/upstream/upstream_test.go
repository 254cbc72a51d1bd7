package upstream

import (
	"net"
	"strings"
	"testing"
	"time"
)

func TestGoneIsSeenWhileTheAnswerIsSilent(t *testing.T) {
	fin := func(c *client) { c.Close() }
	rst := func(c *client) { c.SetLinger(0); c.Close() }
	f := func(name string, s Script, request string, leave func(*client)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			reached := make(chan struct{})
			u := start(t, Always(append(Script{Send("a"), Do(func(*Request) { close(reached) })}, s...)))
			c := dial(t, u).send(request)
			await(t, "the answer", reached)
			r := u.Requests()[0]
			select {
			case <-r.Gone:
				t.Error("gone before the client left")
			default:
			}
			began := time.Now()
			leave(c)
			await(t, "Gone", r.Gone)
			await(t, "Done", r.Done)
			if took := time.Since(began); took > time.Second {
				t.Errorf("seen after %v", took)
			}
		})
	}
	f("stall, closed", Script{Stall()}, post("{}"), fin)
	f("stall, reset", Script{Stall()}, post("{}"), rst)
	f("pause, closed", Script{Pause(time.Hour)}, post("{}"), fin)
	f("hold, reset", Script{Hold(nil)}, post("{}"), rst)
	f("say, closed", Script{Say(strings.Repeat("x", 99), 9, time.Hour, "STOP")}, post("{}"), fin)
	f("pipelined bytes before the close", Script{Stall()}, post("{}")+post("{}"), fin)
}

func TestGoneIsSeenByWriting(t *testing.T) {
	s := Script{Head(200, UntilClose)}
	for range 64 {
		s = append(s, Send(strings.Repeat("x", 1<<20)))
	}
	u := start(t, Always(s))
	c := dial(t, u).send(post("{}"))
	c.br.ReadByte() // the answer has begun; nobody reads the rest
	c.Close()
	r := u.Requests()[0]
	await(t, "Gone", r.Gone)
	await(t, "Done", r.Done)
}

func TestGoneStaysOpenWhenTheUpstreamEnds(t *testing.T) {
	f := func(name string, last Step) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			u := start(t, Always(Script{Send("a"), last}))
			c := dial(t, u).send(post("{}"))
			c.br.ReadByte() // the answer has begun
			if name == "stall" {
				u.Close()
			}
			r := u.Requests()[0]
			await(t, "Done", r.Done)
			select {
			case <-r.Gone:
				t.Error("the client did not leave")
			default:
			}
		})
	}
	f("end", End())
	f("close", Close())
	f("cut", Cut())
	f("reset", Reset())
	f("stall", Stall())
}

func TestPipelinedRequestsAreKept(t *testing.T) {
	release := make(chan struct{})
	u := start(t, func(r *Request) Script { return Script{Hold(release), Send(r.Body)} })
	bodies := []string{"one", strings.Repeat("2", 10*readBuffer), "", "four"}
	c := dial(t, u)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for _, b := range bodies {
			c.Write([]byte(post(b)))
		}
	}()
	await(t, "sending", sent)
	close(release)
	for _, want := range bodies {
		if _, body, err := c.response(); err != nil || body != want {
			t.Errorf("answer %s, %v", excerpt(body), err)
		}
	}
}

func TestCounters(t *testing.T) {
	release := make(chan struct{})
	u := start(t, Always(Script{Send("a"), Hold(release)}))
	is := func(what string, open, live, count, recorded int) {
		t.Helper()
		ok := u.Await(patience, func() bool {
			return u.OpenConns() == open && u.Live() == live && u.Count() == count && len(u.Requests()) == recorded
		})
		if !ok {
			t.Fatalf("%s: open %d, live %d, count %d, recorded %d", what, u.OpenConns(), u.Live(), u.Count(), len(u.Requests()))
		}
	}
	a, b := dial(t, u), dial(t, u)
	is("dialed", 2, 0, 0, 0)
	a.send(post("{}"))
	is("one request", 2, 1, 1, 1)
	u.SetRecord(false)
	b.send(post("{}"))
	is("one unrecorded", 2, 2, 2, 1)
	close(release)
	is("answered", 2, 0, 2, 1)
	b.Close()
	is("one closed", 1, 0, 2, 1)
	u.Reset()
	is("reset", 1, 0, 0, 0)
	u.SetRecord(true)
	a.send(post("{}"))
	is("one more", 1, 0, 1, 1)
	if r := u.Requests()[0]; r.Seq != 0 {
		t.Errorf("seq %d after Reset", r.Seq)
	}
	u.CloseConns()
	is("all closed", 0, 0, 1, 1)
}

func TestHandlers(t *testing.T) {
	u := start(t, InTurn(Script{Send("1")}, Script{Send("2")}))
	c := dial(t, u)
	for i, want := range []string{"1", "2", "2", "other"} {
		if i == 3 {
			u.SetHandler(Always(Script{Send("other")}))
		}
		if _, body, _ := c.send(post("{}")).response(); body != want {
			t.Errorf("request %d: %q, want %q", i, body, want)
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	u := start(t, Always(Script{Send("a"), Stall()}))
	busy, idle, half := dial(t, u), dial(t, u), dial(t, u)
	busy.send(post("{}"))
	half.send("POST / HTTP/1.1\r\nContent-Le")
	if !u.Await(patience, func() bool { return u.Live() == 1 && u.OpenConns() == 3 }) {
		t.Fatal("not begun")
	}
	u.Close()
	u.Close()
	for _, c := range []*client{busy, idle, half} {
		if _, err := c.rest(); err != nil {
			if e, ok := err.(net.Error); ok && e.Timeout() {
				t.Error("a connection is still open")
			}
		}
	}
	if u.OpenConns() != 0 || u.Live() != 0 {
		t.Errorf("open %d, live %d", u.OpenConns(), u.Live())
	}
	if _, err := net.Dial("tcp", u.Addr()); err == nil {
		t.Error("still listening")
	}
	same(t, "url", u.URL(), "http://"+u.Addr())
}

func TestAwaitGivesUp(t *testing.T) {
	u := start(t, Always(nil))
	if u.Await(time.Millisecond, func() bool { return false }) {
		t.Error("true although the condition never held")
	}
}
