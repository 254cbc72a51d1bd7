package proxy

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// admit refuses what must not be passed on: request lines that another server
// could read differently, and targets that could leave the upstream's path.
// It fills in the exchange's head, path and query.
func (e *exchange) admit(ctx *fasthttp.RequestCtx) *refusal {
	req := &ctx.Request.Header
	target := req.RequestURI()
	if string(req.Protocol()) != "HTTP/1.1" {
		return refuse(505, "the proxy speaks HTTP/1.1 only")
	}
	switch method := req.Method(); {
	case string(method) == "CONNECT", string(method) == "TRACE":
		return refuse(405, "the method is not allowed through this proxy")
	case bytes.ContainsAny(method, "abcdefghijklmnopqrstuvwxyz"):
		return refuse(400, "method names are written in capitals")
	}
	if len(target) == 0 || target[0] != '/' {
		return refuse(400, `the request target must begin with "/"`)
	}
	if r := e.head.read(req.RawHeaders()); r != nil {
		return r
	}
	if !isHostValue(req.Host()) {
		return refuse(400, "the Host header holds a character that is not allowed")
	}
	e.written, e.query, _ = bytes.Cut(target, []byte("?"))
	e.path = e.written
	if err := routing.CheckPath(e.written); err != nil {
		return refuse(400, err.Error())
	}
	e.path = routing.PlainPath(e.written)
	if err := routing.CheckQuery(e.query); err != nil {
		return refuse(400, err.Error())
	}
	return nil
}

// form returns the form of the answer that the request asks for. ok tells
// that it is one that can be healed: a streamGenerateContent or a
// generateContent, of whatever version, project and model, or a chat
// completion.
func (e *exchange) form() (f stream.Form, ok bool) {
	if e.isChat() {
		return stream.Form{Framing: stream.Lines, Dialect: stream.OpenAI}, true
	}
	model, action := e.model()
	if string(e.method) != "POST" {
		return f, false
	}
	if bytes.HasPrefix(model, []byte("v1internal")) {
		f.Dialect = stream.Wrapped
	}
	switch string(action) {
	case "streamGenerateContent":
		f.Framing, ok = e.framing()
	case "generateContent":
		f.Framing, ok = stream.Document, routing.WantsPlainJSON(e.query)
	}
	return f, ok
}

// framing returns the framing that the query asks for: alt, or $alt as
// Google's generated clients write it. Other values than sse and json are not
// of a stream that can be read.
func (e *exchange) framing() (f stream.Framing, ok bool) {
	if routing.QueryHas(e.query, "alt", "sse") || routing.QueryHas(e.query, "$alt", "sse") {
		return stream.SSE, true
	}
	alt, _ := routing.QueryValue(e.query, "alt")
	if len(alt) == 0 {
		alt, _ = routing.QueryValue(e.query, "$alt")
	}
	// $alt may go on after a semicolon: json;enum-encoding=int.
	return stream.Array, len(alt) == 0 || bytes.HasPrefix(alt, []byte("json"))
}

// heals tells whether the client wants its answer healed and a group would. Which
// group it is, is known when the body has been read.
func (e *exchange) heals() bool {
	return e.st.heals && !bytes.EqualFold(e.head.heal, []byte("off")) && !e.reshaped()
}

// reshaped tells whether the client asks for a part of the answer, or for
// something around it (https://cloud.google.com/apis/docs/system-parameters):
// nobody can tell then whether it is whole.
func (e *exchange) reshaped() bool { return e.head.masked || routing.Reshapes(e.query) }

// model returns the model that the path names, and the action asked of it,
// for the log: "…/models/MODEL:ACTION". Both are empty for other paths.
func (e *exchange) model() (model, action []byte) { return modelOf(e.path) }

func modelOf(path []byte) (model, action []byte) {
	last := path[bytes.LastIndexByte(path, '/')+1:]
	i, n := bytes.LastIndexByte(last, ':'), 1
	if i < 0 {
		// Some clients encode the colon.
		i, n = max(bytes.LastIndex(last, []byte("%3A")), bytes.LastIndex(last, []byte("%3a"))), 3
	}
	if i < 0 {
		return nil, nil
	}
	return last[:i], last[i+n:]
}
