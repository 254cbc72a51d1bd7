package upstream

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// Request is one request as it arrived.
//
// A Handler may read every field. Elsewhere the Body fields are settled once
// Done is closed; without a Streamer they are settled from the start. Nothing
// is written to a Request after its answer has ended.
type Request struct {
	Seq    int    // 0-based number of arrival, counted anew after Upstream.Reset
	Conn   int    // 0-based number of the connection it came on
	Method string // "POST"
	Target string // the request target as sent: path and query
	Host   string
	Proto  string      // "HTTP/1.1"
	Header http.Header // canonical names; without Host and Transfer-Encoding, see Raw
	Raw    []byte      // the head exactly as received, with the empty line at its end

	Body    []byte // the body without its framing; nil if longer than MaxBody or taken by a Streamer
	BodyLen int64  // bytes of the body that arrived
	BodySum uint32 // CRC-32 (IEEE) of those bytes
	BodyErr error  // why the body broke off; such a request is recorded and not answered

	Gone chan struct{} // closed when the peer closed or reset its connection before the answer ended
	Done chan struct{} // closed when the answer has ended, however it did

	close   bool // the client asked to close the connection afterwards
	leaving sync.Once
}

// Turn is one entry of the contents of a request.
type Turn struct {
	Role string // "user", "model", or "" if the request named none
	Text string // the texts of its parts, joined
}

// Contents parses the body and returns its turns in order. It fails if the body
// was not kept or is not a JSON object with an array of turns.
func (r *Request) Contents() (turns []Turn, err error) {
	var body struct {
		Contents []struct {
			Role  string
			Parts []struct{ Text string }
		}
	}
	if err := json.Unmarshal(r.Body, &body); err != nil {
		return nil, fmt.Errorf("parse contents: %w", err)
	}
	for _, c := range body.Contents {
		var text strings.Builder
		for _, p := range c.Parts {
			text.WriteString(p.Text)
		}
		turns = append(turns, Turn{Role: c.Role, Text: text.String()})
	}
	return turns, nil
}

// ResponseID is the responseId in the events of this request's answer. It
// follows from Seq alone, so it repeats on another Upstream and after Reset.
func (r *Request) ResponseID() string { return responseID(r.Seq) }

// responseID makes 23 characters that look like Google's.
func responseID(seq int) string {
	h := fnv.New128a()
	h.Write(strconv.AppendInt(nil, int64(seq), 10))
	return base64.RawURLEncoding.EncodeToString(h.Sum([]byte{byte(seq)}))
}

// peerLeft closes Gone, once.
func (r *Request) peerLeft() { r.leaving.Do(func() { close(r.Gone) }) }
