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
	for _, c := range req.Host() {
		if !isHost[c] {
			return refuse(400, "the Host header holds a character that is not allowed")
		}
	}
	e.path, e.query, _ = bytes.Cut(target, []byte("?"))
	if err := routing.CheckPath(e.path); err != nil {
		return refuse(400, err.Error())
	}
	if err := routing.CheckQuery(e.query); err != nil {
		return refuse(400, err.Error())
	}
	return nil
}

// form returns the form of the answer that the request asks for. ok tells
// that it is one that can be healed: a streamGenerateContent that asks for
// server-sent events.
func (e *exchange) form() (f stream.Form, ok bool) {
	return f, string(e.method) == "POST" &&
		bytes.HasSuffix(e.path, []byte(":streamGenerateContent")) &&
		routing.QueryHas(e.query, "alt", "sse")
}

// heals tells whether the settings and the client want answers healed.
func (e *exchange) heals() bool {
	return e.s.cfg.Heal == "on" && e.s.policy.MaxConsecutive > 0 && !bytes.EqualFold(e.head.heal, []byte("off"))
}

// model returns the model that the path names, and the action asked of it,
// for the log: "…/models/MODEL:ACTION". Both are empty for other paths.
func (e *exchange) model() (model, action []byte) {
	last := e.path[bytes.LastIndexByte(e.path, '/')+1:]
	model, action, ok := bytes.Cut(last, []byte(":"))
	if !ok {
		return nil, nil
	}
	return model, action
}
