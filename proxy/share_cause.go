package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"gemini-resilient-proxy/routing"
)

// maxShareCause is how many bytes are shown of what a server says.
const maxShareCause = 300

// shareHints say more of errors that are known by their first word.
var shareHints = map[string]string{
	"MOVED":    "the keys are on another node of the cluster: name that one",
	"ASK":      "the keys are on another node of the cluster: name that one",
	"READONLY": "name the primary",
}

// shareCauses are the causes of failures that were said since the replica was
// with the others, by their kind: each is said once, and a new one as well.
type shareCauses struct {
	password routing.Secret
	tls      bool
	said     map[string]bool
}

// news returns what an error says to people, and whether that is to be said.
func (c *shareCauses) news(err error) (text string, isNew bool) {
	kind, text := c.tell(err)
	if c.said[kind] {
		return text, false
	}
	if c.said == nil {
		c.said = map[string]bool{}
	}
	c.said[kind] = true
	return text, true
}

// over forgets what was said.
func (c *shareCauses) over() { clear(c.said) }

// tell returns what is wrong, and what kind of thing that is.
func (c *shareCauses) tell(err error) (kind, text string) {
	var said redis.Error
	var timeout net.Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &said):
		text = c.quote(said.Error())
		kind, _, _ = strings.Cut(text, " ")
		if hint := shareHints[kind]; hint != "" {
			text += " (" + hint + ")"
		}
		return kind, text
	case errors.Is(err, errShareAnswer):
		return "answer", errShareAnswer.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		text = "the server closed the connection"
		if !c.tls {
			text += " (one that wants TLS does so: rediss://)"
		}
		return "closed", text
	case errors.As(err, &errno):
		return errno.Error(), c.quote(err.Error())
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		text = "the server did not answer in time"
		if c.tls {
			text += " (one that speaks no TLS does so: redis://)"
		}
		return "time", text
	}
	return "other", c.quote(err.Error())
}

// quote returns what a server or the network says without the password: servers
// repeat the commands that they do not know.
func (c *shareCauses) quote(text string) string {
	text, _, _ = strings.Cut(text, ", with args beginning with")
	if len(c.password) > 0 {
		text = strings.ReplaceAll(text, string([]byte(c.password)), c.password.String())
	}
	if len(text) > maxShareCause {
		text = strings.ToValidUTF8(text[:maxShareCause], "") + "…"
	}
	return text
}
