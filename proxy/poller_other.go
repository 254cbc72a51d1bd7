//go:build !linux

package proxy

// poller does nothing where there is no loop.
type poller struct{ fd uintptr }

func (*poller) begin(int, bool) {}

func (*poller) more() bool { return false }

func (*poller) read([]byte) (int, error) { return 0, errAgain }

func writeNow(uintptr, []byte) int { return 0 }
