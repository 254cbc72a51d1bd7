package bench

import (
	"net"
	"testing"
)

// startReference runs the reference relay in front of the upstream at addr:
// it connects to the upstream for each client, and what a read brings from one
// side it writes to the other. It parses nothing and knows no event's end, and
// does not change, so that a benchmark's time beside it says how dear the
// proxy is on whatever machine this is.
func startReference(tb testing.TB, addr string) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", addr)
			if err != nil {
				client.Close()
				continue
			}
			go pass(client, up)
			go pass(up, client)
		}
	}()
	return l.Addr().String()
}

// pass writes to what is read from, and closes both when either has ended. It
// is not io.Copy, which would leave the bytes in the kernel.
func pass(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// The reference relay hands on what comes, in both directions, and ends with
// either side.
func TestReferenceRelay(t *testing.T) {
	up := startUpstream(t, func(c net.Conn, _ int) bool {
		_, err := c.Write([]byte(responseHead + chunk(event) + chunk(lastEvent) + "0\r\n\r\n"))
		return err == nil
	})
	cl := dial(t, startReference(t, up))
	for range 3 {
		cl.ask()
		if n := cl.events(-1); n != 2 {
			t.Fatalf("%d events, want 2", n)
		}
	}
}
