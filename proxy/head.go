package proxy

import (
	"bytes"
	"slices"
	"strings"
	"time"
)

// field is one header field as it came. Both slices alias the request.
type field struct{ name, value []byte }

// head is what a request's header section says, read once from its raw bytes.
// Everything aliases fasthttp's request and dies with it.
type head struct {
	fields []field // end-to-end fields, in order, without those named below

	key            []byte // x-goog-api-key
	bearer         []byte // the token of Authorization: Bearer
	hasAuth        bool   // there is an Authorization, of whatever scheme
	group          []byte // X-Proxy-Group
	heal           []byte // X-Proxy-Heal
	contentType    []byte
	acceptEncoding []byte
	origin         []byte
	wantMethod     []byte // Access-Control-Request-Method
	wantHeaders    []byte // Access-Control-Request-Headers
	serverTimeout  []byte // X-Server-Timeout
	apiClient      []byte // X-Goog-Api-Client
	masked         bool   // X-Goog-FieldMask asks for some fields of the answer
	forwardedProto []byte // X-Forwarded-Proto
	forwardedHost  []byte // X-Forwarded-Host
	upgrade        []byte // hop by hop, as are those that connection names
	connection     named

	hasLength, hasCoding bool
	coding               []byte
	expect               []byte
}

func (h *head) reset() {
	clear(h.fields)
	clear(h.connection)
	*h = head{fields: h.fields[:0], connection: h.connection[:0]}
}

// refusal is why a request is not served: what the client is told.
type refusal struct {
	status  int
	message string
	// after is when it is worth asking again, 0 when nobody knows.
	after time.Duration
}

func refuse(status int, message string) *refusal { return &refusal{status: status, message: message} }

// read takes the header section apart. raw are the bytes between the request
// line and the body. fasthttp has parsed them, more leniently than a proxy may
// be: what two parsers could read differently is refused here.
func (h *head) read(raw []byte) *refusal {
	for len(raw) > 0 {
		n := bytes.IndexByte(raw, '\n')
		if n < 0 {
			return refuse(400, "the header section does not end in an empty line")
		}
		line := raw[:n]
		raw = raw[n+1:]
		if len(line) == 0 || line[len(line)-1] != '\r' {
			return refuse(400, "a header line does not end in CR LF")
		}
		if line = line[:len(line)-1]; len(line) == 0 {
			break
		}
		if r := h.line(line); r != nil {
			return r
		}
	}
	if h.hasLength && h.hasCoding {
		return refuse(400, "Content-Length and Transfer-Encoding must not come together")
	}
	if h.hasCoding && !strings.EqualFold(string(h.coding), "chunked") {
		return refuse(400, "the only Transfer-Encoding that is understood is chunked")
	}
	if len(h.expect) > 0 && !strings.EqualFold(string(h.expect), "100-continue") {
		return refuse(417, "the only expectation that is understood is 100-continue")
	}
	h.dropNamed()
	return nil
}

func (h *head) line(line []byte) *refusal {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return refuse(400, "a header line has no name")
	}
	name, value := line[:colon], bytes.Trim(line[colon+1:], " \t")
	for _, c := range name {
		if !isToken[c] {
			return refuse(400, "a header name holds a character that is not allowed")
		}
	}
	var buf [32]byte
	return h.known(lower(buf[:0], name), name, value)
}

// known sorts one field. name is its lower-case form, at most 32 bytes of it.
func (h *head) known(lowered, name, value []byte) *refusal {
	switch string(lowered) {
	case "host", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization",
		"te", "trailer", "http2-settings":
		// Hop by hop (RFC 9110 7.6.1), or written anew.
	case "upgrade":
		h.upgrade = value
	case "connection":
		h.connection = h.connection.with(value)
	case "x-forwarded-proto":
		h.forwardedProto = value
	case "x-forwarded-host":
		h.forwardedHost = value
	case "forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-port", "x-forwarded-server", "alt-used", "cookie":
		// What the way to the proxy looked like is not the upstream's business.
	case "content-length":
		h.hasLength = true
	case "content_length", "transfer_encoding":
		return refuse(400, "a header name could be mistaken for one that frames the message")
	case "transfer-encoding":
		h.hasCoding, h.coding = true, value
	case "expect":
		h.expect = value
	case "x-proxy-group":
		if len(h.group) == 0 {
			h.group = value
		}
	case "x-proxy-heal":
		h.heal = value
	case "x-goog-api-key":
		if len(h.key) == 0 {
			h.key = value
		}
	case "authorization":
		if h.hasAuth {
			return refuse(400, "Authorization must not come twice")
		}
		h.hasAuth = true
		if len(value) > 7 && strings.EqualFold(string(value[:7]), "bearer ") {
			h.bearer = bytes.TrimLeft(value[7:], " ")
			break
		}
		h.keep(name, value)
	case "accept-encoding":
		if len(h.acceptEncoding) > 0 {
			// Several are one list (RFC 9110 5.3).
			value = slices.Concat(h.acceptEncoding, []byte(", "), value)
		}
		h.acceptEncoding = value
	case "x-server-timeout":
		h.serverTimeout = value
	case "x-goog-api-client":
		h.apiClient = value
		h.keep(name, value)
	case "x-goog-fieldmask":
		h.masked = h.masked || string(value) != "*"
		h.keep(name, value)
	case "content-type":
		h.contentType = value
		h.keep(name, value)
	case "origin":
		h.origin = value
		h.keep(name, value)
	case "access-control-request-method":
		h.wantMethod = value
		h.keep(name, value)
	case "access-control-request-headers":
		h.wantHeaders = value
		h.keep(name, value)
	default:
		h.keep(name, value)
	}
	return nil
}

func (h *head) keep(name, value []byte) { h.fields = append(h.fields, field{name, value}) }

// dropNamed drops the fields that Connection names.
func (h *head) dropNamed() {
	if len(h.connection) == 0 {
		return
	}
	h.connection.sort()
	kept := h.fields[:0]
	for _, f := range h.fields {
		if !h.connection.has(f.name) {
			kept = append(kept, f)
		}
	}
	h.fields = kept
	if h.connection.has(acceptEncoding) {
		h.acceptEncoding = nil
	}
}

// acceptEncoding is not made for each look-up.
var acceptEncoding = []byte("accept-encoding")

// lower appends the lower-case form of name to dst, up to dst's capacity.
func lower(dst, name []byte) []byte {
	for _, c := range name[:min(len(name), cap(dst))] {
		dst = append(dst, lowerByte(c))
	}
	return dst
}

// isToken marks the characters of a token (RFC 9110 5.6.2).
var isToken = func() (t [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()

// isHost marks the characters of a Host value (RFC 3986 3.2.2 and a port).
var isHost = func() (t [256]bool) {
	for _, c := range "-._~:[]%!$&'()*+,;=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()
