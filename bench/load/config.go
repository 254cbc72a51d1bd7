package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"
)

// config is what the generator is told.
type config struct {
	addr    string // host:port
	tls     *tls.Config
	request []byte // the whole request

	mode     string
	streams  int
	arrivals float64 // new streams a second, 0 for a constant number
	order    order
	ask      bool
	duration time.Duration
	warmup   time.Duration
	ramp     time.Duration
	json     bool
	announce bool
}

const usage = `usage: load [flags]            generate load, see the flags
       load upstream [flags]   be the upstream, see load upstream -h

modes:
  stream    each stream asks for -events at -rate a second
  saturate  the same, as fast as they come
  short     small JSON requests that nothing is healed of, each connection
            one after the other
  unary     the same for generateContent
  idle      open the streams, which have one event each, and hold them

flags:
`

const (
	streamBody = `{"contents":[{"role":"user","parts":[{"text":"Why is the sky blue?"}]}]}`
	pathStream = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
	pathShort  = "/v1beta/models/gemini-embedding-001:embedContent"
	pathUnary  = "/v1beta/models/gemini-2.5-flash:generateContent"
)

// shortBody is 1 KiB of JSON.
func shortBody() string {
	const head, tail = `{"contents":[{"role":"user","parts":[{"text":"`, `"}]}]}`
	return head + prose[:1024-len(head)-len(tail)] + tail
}

// maxPrompt bounds what is put in front of a question, in bytes.
const maxPrompt = 64 << 20

// withPrompt puts n bytes of prose in front of the text of body.
func withPrompt(body string, n int) string {
	const opening = `"text":"`
	at := strings.Index(body, opening) + len(opening)
	return body[:at] + strings.Repeat(prose, n/len(prose)) + prose[:n%len(prose)] + body[at:]
}

// isShort tells that the answers of a mode are no streams.
func isShort(mode string) bool { return mode == "short" || mode == "unary" }

// headers collects the -header flags.
type headers []string

func (h *headers) String() string { return strings.Join(*h, ", ") }

func (h *headers) Set(s string) error {
	if name, _, ok := strings.Cut(s, ":"); !ok || name == "" || strings.ContainsAny(s, "\r\n") {
		return errors.New("want Name: value")
	}
	*h = append(*h, s)
	return nil
}

// parseConfig reads the arguments. Usage and mistakes go to stderr.
func parseConfig(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := flag.NewFlagSet("load", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { fmt.Fprint(stderr, usage); fs.PrintDefaults() }
	target := fs.String("url", "http://127.0.0.1:8080", "`URL` to ask; without a path, the mode's own")
	fs.StringVar(&c.mode, "mode", "stream", "stream, saturate, short, unary or idle")
	fs.IntVar(&c.streams, "streams", 100, "open streams, or connections of the short and unary modes; with -arrivals, at most so many")
	fs.Float64Var(&c.arrivals, "arrivals", 0, "new streams a second, whatever became of those before; 0 keeps the number constant")
	fs.IntVar(&c.order.events, "events", 100, "events of a stream")
	fs.Float64Var(&c.order.rate, "rate", 20, "events a second and stream")
	fs.IntVar(&c.order.size, "size", 350, "bytes of an event")
	fs.BoolVar(&c.order.cut, "cut", false, "have the load upstream break off every stream once, at its middle")
	fs.BoolVar(&c.ask, "ask", true, "put events, rate, size and cut into the query, for the load upstream")
	fs.DurationVar(&c.duration, "duration", 10*time.Second, "what is measured")
	fs.DurationVar(&c.warmup, "warmup", 2*time.Second, "what runs before that")
	fs.DurationVar(&c.ramp, "ramp", time.Second, "time over which the first streams begin, part of the warmup")
	text := fs.String("body", "", "request `body`; empty for the mode's own")
	file := fs.String("body-file", "", "`file` that holds the request body")
	prompt := fs.Int("prompt", 0, "bytes of prose in front of the question of the mode's own body, as a document or an image would be")
	ca := fs.String("ca", "", "`file` of certificates to trust")
	insecure := fs.Bool("insecure", false, "trust any certificate")
	var extra headers
	fs.Var(&extra, "header", "request header, `Name: value`; may be repeated")
	fs.BoolVar(&c.json, "json", false, "report in JSON")
	fs.BoolVar(&c.announce, "announce", false, `print "begin" and "end" lines around what is measured`)
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	err := c.complete(*target, *text, *file, *prompt, extra)
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err == nil && c.tls != nil {
		err = c.trust(*ca, *insecure)
	}
	if err != nil {
		fmt.Fprintln(stderr, "load:", err)
	}
	return c, err
}

// complete checks the settings and makes the request.
func (c *config) complete(target, body, file string, prompt int, extra headers) error {
	own, path := streamBody, pathStream
	switch c.mode {
	case "stream":
	case "saturate":
		c.order.rate = 0
	case "short":
		own, path, c.ask = shortBody(), pathShort, false
	case "unary":
		own, path, c.ask = shortBody(), pathUnary, false
	case "idle":
		c.order.events, c.order.rate = 2, 1.0/3600
	default:
		return fmt.Errorf("-mode %q: want stream, saturate, short, unary or idle", c.mode)
	}
	switch {
	case c.streams < 1 || c.order.events < 1 || c.order.rate < 0 || c.arrivals < 0 || c.duration <= 0 || c.warmup < 0:
		return errors.New("-streams, -events and -duration must be positive, -rate, -arrivals and -warmup not negative")
	case c.order.size < 0 || c.order.size > maxEvent:
		return fmt.Errorf("-size must be at most %d", maxEvent)
	case prompt < 0 || prompt > maxPrompt:
		return fmt.Errorf("-prompt must be between 0 and %d", maxPrompt)
	case prompt > 0 && (body != "" || file != ""):
		return errors.New("-prompt is for the mode's own body: leave out -body and -body-file")
	}
	c.ramp = min(c.ramp, c.warmup)
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		body = string(b)
	}
	if body == "" {
		body = own
	}
	if prompt > 0 {
		body = withPrompt(body, prompt)
	}
	u, err := c.locate(target, path)
	if err != nil {
		return err
	}
	c.request = appendRequest(nil, u, extra, body)
	return nil
}

// locate reads the URL and puts the order into its query.
func (c *config) locate(target, path string) (*url.URL, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	if u.Path == "" || u.Path == "/" {
		own, _ := url.Parse(path)
		u.Path, u.RawQuery = own.Path, own.RawQuery
	}
	port := "80"
	switch u.Scheme {
	case "http":
	case "https":
		port = "443"
		c.tls = &tls.Config{ServerName: u.Hostname()}
	default:
		return nil, fmt.Errorf("-url %q: want http:// or https://", target)
	}
	if p := u.Port(); p != "" {
		port = p
	}
	c.addr = net.JoinHostPort(u.Hostname(), port)
	if c.ask {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += c.order.query()
	}
	return u, nil
}

// trust says which certificates are good.
func (c *config) trust(ca string, insecure bool) error {
	c.tls.InsecureSkipVerify = insecure
	if ca == "" {
		return nil
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	c.tls.RootCAs = x509.NewCertPool()
	if !c.tls.RootCAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s holds no certificate", ca)
	}
	return nil
}

// appendRequest appends a POST of body. Headers that are given twice go out
// twice, but for the ones that extra replaces.
func appendRequest(dst []byte, u *url.URL, extra headers, body string) []byte {
	dst = fmt.Appendf(dst, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", u.RequestURI(), u.Host, len(body))
	given := func(name string) bool {
		for _, h := range extra {
			if n, _, _ := strings.Cut(h, ":"); strings.EqualFold(n, name) {
				return true
			}
		}
		return false
	}
	for _, h := range extra {
		dst = append(dst, h+"\r\n"...)
	}
	if !given("Content-Type") {
		dst = append(dst, "Content-Type: application/json\r\n"...)
	}
	if !given("x-goog-api-key") {
		dst = append(dst, "x-goog-api-key: KEY\r\n"...)
	}
	return append(dst, "\r\n"+body...)
}
