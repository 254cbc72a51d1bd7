// Command relay is a streaming proxy as one writes it first with fasthttp:
// SetBodyStreamWriter, and a flush behind every read. It is there to compare
// with.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"io"
	"log"
	"net/url"
	"os"
	"time"

	"github.com/valyala/fasthttp"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8080", "`address` to listen on")
	upstream := flag.String("upstream", "http://127.0.0.1:9000", "`URL` of the upstream")
	ca := flag.String("ca", "", "`file` of certificates to trust")
	flag.Parse()
	target, err := url.Parse(*upstream)
	if err != nil {
		log.Fatal(err)
	}
	client := &fasthttp.HostClient{
		Addr:                target.Host,
		IsTLS:               target.Scheme == "https",
		MaxConns:            1 << 16,
		MaxIdleConnDuration: 90 * time.Second,
		StreamResponseBody:  true,
	}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			log.Fatal(err)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(pem)
		client.TLSConfig = &tls.Config{RootCAs: pool, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	}
	server := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) { relay(ctx, client) },
		Logger:  log.New(io.Discard, "", 0),
	}
	log.Fatal(server.ListenAndServe(*listen))
}

// relay answers with what the upstream answers.
func relay(ctx *fasthttp.RequestCtx, client *fasthttp.HostClient) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	ctx.Request.CopyTo(req)
	req.Header.Del("Connection")
	req.URI().SetScheme("http")
	if client.IsTLS {
		req.URI().SetScheme("https")
	}
	req.SetHost(client.Addr)
	if err := client.Do(req, resp); err != nil {
		fasthttp.ReleaseResponse(resp)
		ctx.Error(err.Error(), fasthttp.StatusBadGateway)
		return
	}
	ctx.SetStatusCode(resp.StatusCode())
	ctx.SetContentTypeBytes(resp.Header.ContentType())
	ctx.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer fasthttp.ReleaseResponse(resp)
		defer resp.CloseBodyStream()
		buf := make([]byte, 4096)
		for body := resp.BodyStream(); ; {
			n, err := body.Read(buf)
			w.Write(buf[:n])
			if w.Flush() != nil || err != nil {
				return
			}
		}
	})
}
