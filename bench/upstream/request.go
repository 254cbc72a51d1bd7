package upstream

import (
	"encoding/base64"
	"hash/fnv"
	"net/http"
	"strconv"
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
