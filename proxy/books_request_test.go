package proxy_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"gemini-resilient-proxy/bench/upstream"
)

// answer is the upstream's.
func (b *books) answer(q *upstream.Request) upstream.Script {
	id, _ := strconv.ParseUint(q.Header.Get("X-Test-Id"), 10, 64)
	rnd := rand.New(rand.NewPCG(id, 1))
	path, _, _ := strings.Cut(q.Target, "?")
	switch {
	case strings.Contains(path, "/ws/"):
		return upstream.Script{upstream.Wire(agreed + strings.Repeat("down", rnd.IntN(2000))), upstream.Cut()}
	case strings.Contains(path, "/interactions"):
		part := interRest(q)
		if rnd.IntN(2) == 0 && q.Method == "POST" {
			return upstream.Script{upstream.Send(part[:rnd.IntN(len(part))]), upstream.Cut()}
		}
		return upstream.Script{upstream.Send(part)}
	case strings.Contains(path, ":stream"), strings.Contains(path, ":generate"), strings.HasSuffix(path, "/completions"):
		return b.chaos.answer(q)
	}
	body := strings.Repeat("x", []int{0, 1, 900, 1100, 5000, 70000}[rnd.IntN(6)])
	switch rnd.IntN(9) {
	case 0:
		return upstream.Script{upstream.Status(204, nil, "")}
	case 1:
		return upstream.Script{upstream.Status(304, nil, "")}
	case 2:
		return upstream.Script{upstream.Wire("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")}
	case 3:
		return upstream.Script{upstream.Send("some "), upstream.Reset()}
	case 4:
		return upstream.Script{upstream.Gzip(), upstream.Status(200, nil, body)}
	case 5:
		return upstream.Script{upstream.Sliced(700, upstream.Send(body))}
	case 6:
		return upstream.Script{upstream.ErrorBody(503, "UNAVAILABLE", "no", 0)}
	case 7:
		return upstream.Script{upstream.LimitWire(len(body)/2+1, upstream.FIN), upstream.Status(200, nil, body)}
	}
	return upstream.Script{upstream.Status(200, nil, body)}
}

// booked is a request of one kind.
type booked struct {
	method, text string
	last         bool // nothing can follow it on its connection
	uncounted    bool // its answer's bytes are not the exchange's
	tunnel       bool
}

// request makes one.
func (b *books) request(rnd *rand.Rand) booked {
	head := fmt.Sprintf(" HTTP/1.1\r\nHost: a\r\nX-Test-Id: %d\r\n", rnd.Uint64())
	for _, also := range []string{"X-Proxy-Heal: off\r\n", "Connection: close\r\n"} {
		if rnd.IntN(8) == 0 {
			head += also
		}
	}
	last := strings.Contains(head, "close")
	posts := func(target, body string) booked {
		kind := "Content-Type: application/json\r\n"
		if rnd.IntN(3) == 0 {
			return booked{method: "POST", last: last, text: fmt.Sprintf("POST %s%s%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", target, head, kind, len(body), body)}
		}
		return booked{method: "POST", last: last, text: fmt.Sprintf("POST %s%s%sContent-Length: %d\r\n\r\n%s", target, head, kind, len(body), body)}
	}
	switch rnd.IntN(18) {
	case 0, 1, 2:
		return posts(streamPath, ask("a"))
	case 3:
		return posts(arrayPath, ask("a"))
	case 4:
		return posts(unaryPath, ask("a"))
	case 5:
		return posts(chatPath, `{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}`)
	case 6:
		return posts(chatPath, `{"model":"m","messages":[{"role":"user","content":"a"}]}`)
	case 7:
		return posts(interPath, interBody)
	case 8:
		return posts(streamPath, `{"contents":[],"generationConfig":{"candidateCount":2}}`)
	case 9:
		return posts("/v1beta/models/m:countTokens", ask("a"))
	case 10:
		return posts("/upload/v1beta/files", strings.Repeat("u", rnd.IntN(200_000)))
	case 11:
		r := posts("/upload/v1beta/files?early", strings.Repeat("u", 100+rnd.IntN(200_000)))
		r.last = true
		return r
	case 12:
		return booked{method: "HEAD", last: last, text: "HEAD /v1beta/models" + head + "\r\n"}
	case 13:
		return booked{method: "GET", last: true, text: "GET /v1beta/models HTTP/1.0\r\nHost: a\r\n\r\n"}
	case 14:
		return booked{method: "GET", last: true, uncounted: true, text: "GET /v1beta/models HTTP/1.1\r\nHost a\r\n\r\n"}
	case 15:
		return booked{method: "GET", last: true, tunnel: true, text: handshake(livePath, "X-Test-Id: "+strconv.Itoa(rnd.IntN(1000))+"\r\n") + "up"}
	}
	return booked{method: "GET", last: last, text: "GET /v1beta/models" + head + "\r\n"}
}
