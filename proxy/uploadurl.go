package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
)

// isUpload tells whether the request is one of the API's upload protocol,
// whose answers say where the bytes are to go.
func (e *exchange) isUpload() bool { return bytes.Contains(e.path, []byte("/upload/")) }

// isFile tells whether the body is a file, or a part of one, as it is: that of an
// upload which another request has begun, or one that comes without a
// description.
func (e *exchange) isFile() bool {
	if !e.isUpload() {
		return false
	}
	if _, begun := routing.QueryValue(e.query, "upload_id"); begun {
		return true
	}
	for _, p := range [...][2]string{{"uploadType", "media"}, {"upload_type", "media"}, {"upload_protocol", "raw"}} {
		if routing.QueryHas(e.query, p[0], p[1]) {
			return true
		}
	}
	for _, f := range e.head.fields {
		var buf [32]byte
		switch string(lower(buf[:0], f.name)) {
		case "x-goog-upload-protocol":
			if bytes.EqualFold(f.value, []byte("raw")) {
				return true
			}
		case "x-goog-upload-command":
			if bytes.Contains(bytes.ToLower(f.value), []byte("upload")) {
				return true
			}
		}
	}
	return false
}

// ownUploadURLs makes the URLs that an upload is sent to lead to the proxy. The
// client uses them as they are, mostly without a key: they carry the group.
func (e *exchange) ownUploadURLs(host []byte, h *fasthttp.ResponseHeader) {
	var own routing.Own
	for _, f := range uploadURLs(h) {
		e.learnUpload(f.value)
		if own.Origin == nil {
			own = routing.Own{Origin: e.origin(host), Host: host}
		}
		if url, ok := routing.AppendOwnURL(nil, e.st.table, &e.lease.target().base, &e.lease.target().path, own, f.value); ok {
			h.SetBytesKV(f.name, url)
		}
	}
}

// uploadURLs returns copies of the fields that hold one. Their names are as
// the upstream wrote them.
func uploadURLs(h *fasthttp.ResponseHeader) (found []field) {
	for name, value := range h.All() {
		var buf [32]byte
		switch string(lower(buf[:0], name)) {
		case "x-goog-upload-url", "x-goog-upload-control-url", "location":
			found = append(found, field{bytes.Clone(name), bytes.Clone(value)})
		}
	}
	return found
}

// origin returns the scheme and host under which the client has reached the
// proxy. What a terminator in front says of that is believed: whoever says
// something else misleads only itself.
func (e *exchange) origin(host []byte) []byte {
	scheme := "http"
	switch said := firstOf(e.head.forwardedProto); {
	case bytes.EqualFold(said, []byte("https")), len(said) == 0 && e.client.secure():
		scheme = "https"
	}
	if h := firstOf(e.head.forwardedHost); len(h) > 0 && isHostValue(h) {
		host = h
	}
	return append([]byte(scheme+"://"), host...)
}

// firstOf returns the first element of a comma-separated list: the one that
// the outermost proxy wrote.
func firstOf(list []byte) []byte {
	first, _, _ := bytes.Cut(list, []byte(","))
	return bytes.TrimSpace(first)
}

func isHostValue(host []byte) bool {
	for _, c := range host {
		if !isHost[c] {
			return false
		}
	}
	return true
}
