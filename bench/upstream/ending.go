package upstream

// How is the way a limit ends an answer.
type How int

const (
	FIN   How = iota // the connection is closed, the answer lacks its end
	RST              // the connection is reset
	Clean            // the transport ends as if the answer were whole
)

// ending is why playing stopped. It travels as an error through the steps.
type ending int

const (
	endKeep   ending = iota // whole; the connection stays open
	endClose                // whole; the connection is closed
	endTrim                 // stopped by a Clean limit: whole only to the transport
	endCut                  // closed without the end
	endReset                // reset
	endPeer                 // the peer left
	endServer               // the Upstream was closed
)

// Error makes an ending travel as an error.
func (e ending) Error() string {
	return [...]string{"kept", "closed", "trimmed", "cut", "reset", "peer left", "upstream closed"}[e]
}

// limit lets a number of bytes pass and ends the answer at that point.
type limit struct {
	on   bool
	left int64
	how  How
}

// take returns the part of p that may still pass. The error, if any, is the
// ending which is due once that part is written.
func (l *limit) take(p []byte) ([]byte, error) {
	if !l.on {
		return p, nil
	}
	if int64(len(p)) < l.left {
		l.left -= int64(len(p))
		return p, nil
	}
	p = p[:l.left]
	l.left = 0
	switch l.how {
	case RST:
		return p, endReset
	case Clean:
		return p, endTrim
	default:
		return p, endCut
	}
}
