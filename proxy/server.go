package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
)

// clientIdle is how long a client's keep-alive connection may be idle.
const clientIdle = 120 * time.Second

// Server is the proxy. New makes one, Serve runs it, Drain ends it.
type Server struct {
	cfg     Config // as it was at the start: listeners, timeouts of clients
	version string // of the program, for people
	state   atomic.Pointer[state]
	gate    *routing.Gate
	memory  routing.Watermark
	reloads reloader
	watcher *watcher
	share   *sharer // nil: no replicas
	loops   loops
	tracer  *tracer // nil without traces
	cors    cors
	log     *slog.Logger
	metrics *metrics
	prefill prefills
	origins *routing.Origins
	live    live
	recent  recent
	sink    *logSink // behind log; nil where that is not the program's
	http    *fasthttp.Server

	draining   atomic.Bool
	mu         sync.Mutex
	listeners  []*clientListener
	certs      *certificates // nil: the public listener speaks plain HTTP
	room       chan struct{} // of client connections, see clientListener
	readers    readers
	running    *exchange // the first of those that run
	count      int       // how many they are
	transports map[transportKey]*transport
	stop       chan struct{} // closed when everything is over
	over       bool          // the drain is over: what begins now is canceled at once
}

// New makes a Server of a valid configuration. Nothing listens before Serve.
func New(cfg Config, log *slog.Logger) (*Server, error) {
	w, err := newWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch for clients that leave: %w", err)
	}
	s := &Server{
		cfg: cfg, watcher: w, log: log,
		gate:       routing.NewGate(gateLimits(&cfg)),
		cors:       newCORS(cfg.CORSAllowOrigin),
		transports: map[transportKey]*transport{},
		origins:    routing.NewOrigins(maxOrigins),
		room:       make(chan struct{}, maxConns()),
		stop:       make(chan struct{}),
	}
	st, err := s.newState(cfg, nil)
	if err != nil {
		return nil, err
	}
	s.state.Store(st)
	if s.certs, err = newCertificates(cfg.tlsFiles(), maxConns(), log); err != nil {
		return nil, err
	}
	s.metrics = newMetrics(st.names())
	s.metrics.watchQueue(s.gate)
	s.metrics.watchCertificate(s.certs)
	s.metrics.watchRunning(s.Running)
	s.metrics.reloaded(nil)
	s.useLog(log)
	if s.tracer, err = newTracer(&cfg.Trace, s.metrics, log); err != nil {
		return nil, err
	}
	s.reloads.at, s.reloads.files = time.Now(), cfg.sources
	if s.share, err = newSharer(cfg.RedisURL, s.state.Load, s.gate, log, s.metrics); err != nil {
		return nil, fmt.Errorf("REDIS_URL: %w", err)
	}
	go s.watchMemory()
	s.http = s.newHTTP()
	s.readers.find(s.http)
	if s.loops, err = openLoops(s.panicked); err != nil {
		return nil, fmt.Errorf("wait for upstreams: %w", err)
	}
	s.metrics.watchEvents(s.eventsEver)
	go s.sampleLive()
	go s.share.run(s.stop)
	return s, nil
}

// ShowVersion has metrics and the live page name the version of the program. It
// is called once, before Serve.
func (s *Server) ShowVersion(version string) {
	s.version = version
	s.metrics.showVersion(version)
}

// ownPaths is what the paths begin with that the proxy answers itself.
var ownPaths = []byte("/healthz")

// newHTTP returns the fasthttp server with the settings that a streaming
// proxy needs.
func (s *Server) newHTTP() *fasthttp.Server {
	// One body buffer of 100 MiB must not stay with an idle connection.
	fasthttp.SetBodySizePoolLimit(maxPooled, maxPooled)
	rt := router.New()
	rt.RedirectTrailingSlash = false
	rt.RedirectFixedPath = false
	rt.HandleMethodNotAllowed = false
	rt.HandleOPTIONS = false
	rt.GET("/healthz", healthz)
	rt.HEAD("/healthz", healthz)
	// A wildcard route would match the same, and allocate for its parameter.
	rt.NotFound = s.serve
	return &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			// The router parses the whole URI, which nothing on the way to
			// the upstream needs.
			if bytes.HasPrefix(ctx.RequestURI(), ownPaths) {
				rt.Handler(ctx)
			} else {
				s.serve(ctx)
			}
			if s.draining.Load() {
				ctx.SetConnectionClose()
			}
		},
		ErrorHandler: s.unreadable,
		ConnState:    noteState,
		// The head must come whole in this time; the wait for the first byte
		// of a body gets its own.
		ReadTimeout: s.cfg.ClientHeaderTimeout,
		HeaderReceived: func(*fasthttp.RequestHeader) fasthttp.RequestConfig {
			return fasthttp.RequestConfig{ReadTimeout: s.cfg.ClientStallTimeout}
		},
		IdleTimeout: clientIdle,
		// Nobody asks when a request began but the exchange, which looks itself.
		LazyRequestTime: true,
		ReadBufferSize:  s.cfg.MaxHeaderBytes,
		WriteBufferSize: writerSize,
		// All bodies are streams: the exchange reads them, see request_body.go.
		StreamRequestBody:            true,
		MaxRequestBodySize:           1,
		DisablePreParseMultipartForm: true,
		// What passes through keeps its names and its server. Its date is
		// written anew: fasthttp takes none from a handler.
		DisableHeaderNamesNormalizing: true,
		NoDefaultServerHeader:         true,
		NoDefaultContentType:          true,
		SecureErrorLogMessage:         true,
		CloseOnShutdown:               true,
		// A tunnel closes its connection itself; see tunnel.begin.
		KeepHijackedConns: true,
		Logger:            quiet{},
	}
}

// noteState notes whether a request has begun on a connection and is not over.
func noteState(conn net.Conn, to fasthttp.ConnState) {
	if c, ok := conn.(*clientConn); ok {
		if to == fasthttp.StateIdle && c.unread.Load() {
			// The rest of the body had come, and was passed over.
			c.unread.Store(false)
		}
		c.active.Store(to == fasthttp.StateActive)
	}
}

// quiet drops what fasthttp logs: it repeats what the exchange's own line
// says, and it quotes what clients send.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

func healthz(ctx *fasthttp.RequestCtx) { ctx.SetBodyString("ok\n") }

// serve answers one request of the public listener.
func (s *Server) serve(ctx *fasthttp.RequestCtx) {
	e := s.begin(ctx)
	defer func() {
		if p := recover(); p != nil {
			s.panicked("serve", p)
			if s.failed(ctx, e) {
				return
			}
		}
		if !e.streaming {
			e.finish()
		}
	}()
	r := e.admit(ctx)
	if s.tracer != nil {
		e.trace = s.tracer.begin(e)
	}
	if r != nil {
		e.refuse(ctx, r)
		ctx.SetConnectionClose()
		e.client.leaveUnread(ctx)
		return
	}
	if s.cors.on() && string(e.method) == "OPTIONS" && len(e.head.origin) > 0 && len(e.head.wantMethod) > 0 {
		s.cors.preflight(ctx, &e.head)
		e.record.status = 204
		return
	}
	if e.wantsTunnel(ctx) {
		s.tunnel(ctx, e)
		return
	}
	if e.isInteraction() && e.heals() {
		s.interact(ctx, e)
		return
	}
	if _, ok := e.form(); ok && e.heals() {
		s.heal(ctx, e)
		return
	}
	e.record.kind = kindRelay
	s.relay(ctx, e)
}

// failed answers a request that ended in a panic. It is true when the exchange
// is over with that: a body that was fasthttp's already ends it, and is closed by
// the answer that takes its place.
func (s *Server) failed(ctx *fasthttp.RequestCtx, e *exchange) (over bool) {
	r := failedHere()
	if over = ctx.Response.IsBodyStream(); over {
		writeFailure(ctx, r.status, r.message)
	} else {
		e.streaming = false
		e.refuse(ctx, r)
	}
	ctx.SetConnectionClose()
	return over
}

// unreadable answers what fasthttp could not read as a request.
func (s *Server) unreadable(ctx *fasthttp.RequestCtx, err error) {
	r := refuse(400, "the request cannot be read as HTTP/1.1")
	var small *fasthttp.ErrSmallBuffer
	switch {
	case s.shook(ctx.Conn()):
		r = refuse(400, "the TLS handshake failed")
	case errors.As(err, &small):
		r = refuse(431, fmt.Sprintf("the request head is larger than %d bytes", s.cfg.MaxHeaderBytes))
	case isTimeout(err):
		r = refuse(408, "the request did not arrive in time")
	}
	if c, _ := ctx.Conn().(*clientConn); c != nil && !s.shook(c) && !isTimeout(err) {
		// There may be more of it.
		c.unread.Store(true)
	}
	writeFailure(ctx, r.status, r.message)
	s.metrics.requests.WithLabelValues("", kindNames[kindRefused], codeClass(r.status)).Inc()
	s.log.Info("request", "kind", kindNames[kindRefused], "status", r.status, "note", r.message)
}

// shook tells whether a connection is one whose TLS handshake has failed.
func (s *Server) shook(c net.Conn) bool {
	client, _ := c.(*clientConn)
	if client == nil {
		return false
	}
	t, ok := client.Conn.(*tls.Conn)
	return ok && !t.ConnectionState().HandshakeComplete
}

// recovered ends a panic: it is counted and logged, and becomes *err.
func (s *Server) recovered(where string, err *error) {
	if p := recover(); p != nil {
		s.panicked(where, p)
		if err != nil {
			*err = errors.New("panic in " + where)
		}
	}
}

// panicked logs a panic. Its value is not logged: it may hold bytes of a
// request; the stack holds none.
func (s *Server) panicked(where string, p any) {
	s.metrics.panics.Inc()
	kind := fmt.Sprintf("%T", p)
	if err, ok := p.(interface{ RuntimeError() }); ok {
		kind = fmt.Sprint(err)
	}
	s.log.Error("panic", "in", where, "value", kind, "stack", string(debug.Stack()))
}

// enter and leave keep the list of running exchanges.
func (s *Server) enter(e *exchange) {
	s.mu.Lock()
	if e.next = s.running; e.next != nil {
		e.next.prev = e
	}
	s.running = e
	s.count++
	over := s.over
	s.mu.Unlock()
	if over {
		e.cancel(causeDrain)
	}
}

func (s *Server) leave(e *exchange) {
	s.mu.Lock()
	if e.next != nil {
		e.next.prev = e.prev
	}
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		s.running = e.next
	}
	e.next, e.prev = nil, nil
	s.count--
	s.mu.Unlock()
}

// Running returns the number of requests being served.
func (s *Server) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Healed returns how many answers came whole after an interruption, ever.
func (s *Server) Healed() int64 { return s.metrics.healedEver.Load() }

// Serve serves l until Drain. It returns nil when the listener was closed by
// Drain.
func (s *Server) Serve(l net.Listener) error {
	if err := s.state.Load().exposed(l.Addr()); err != nil {
		l.Close()
		return err
	}
	clients := newClientListener(l, s.cfg.ClientStallTimeout, s.certs, s.room)
	clients.spare = s.closeIdle
	s.mu.Lock()
	s.listeners = append(s.listeners, clients)
	draining := s.draining.Load()
	s.mu.Unlock()
	if draining {
		l.Close()
		return nil
	}
	err := s.http.Serve(clients)
	if s.draining.Load() {
		return nil
	}
	return err
}
