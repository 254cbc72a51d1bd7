package proxy

import (
	"strings"

	"github.com/valyala/fasthttp"
)

// cors answers for browsers (https://fetch.spec.whatwg.org/#http-cors-protocol).
type cors struct {
	any     bool
	origins map[string]bool
}

func newCORS(setting string) cors {
	c := cors{any: setting == "*", origins: map[string]bool{}}
	if !c.any {
		for o := range strings.SplitSeq(setting, ",") {
			if o = strings.TrimSpace(o); o != "" {
				c.origins[o] = true
			}
		}
	}
	return c
}

func (c *cors) on() bool { return c.any || len(c.origins) > 0 }

// allow sets the header fields that let the page of origin read the response.
func (c *cors) allow(h *fasthttp.ResponseHeader, origin []byte) {
	switch {
	case c.any:
		h.Set("Access-Control-Allow-Origin", "*")
	case !c.on():
		return
	default:
		h.Add("Vary", "Origin")
		if !c.origins[string(origin)] {
			return
		}
		h.SetBytesV("Access-Control-Allow-Origin", origin)
	}
	h.Set("Access-Control-Expose-Headers", "*")
}

// preflight answers a CORS-preflight request: what the page asks for is
// allowed, since the API itself decides by key.
func (c *cors) preflight(ctx *fasthttp.RequestCtx, h *head) {
	resp := &ctx.Response
	resp.SetStatusCode(204)
	c.allow(&resp.Header, h.origin)
	resp.Header.SetBytesV("Access-Control-Allow-Methods", h.wantMethod)
	if len(h.wantHeaders) > 0 {
		resp.Header.SetBytesV("Access-Control-Allow-Headers", h.wantHeaders)
	}
	resp.Header.Set("Access-Control-Max-Age", "86400")
}
