package proxy

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// reloader knows where the configuration comes from and how the last try to
// load it again went.
type reloader struct {
	source func() (Config, error)

	mu     sync.Mutex // held while a configuration is loaded
	result sync.Mutex // guards what follows
	at     time.Time  // when the running configuration was loaded
	files  []string   // that it and the last try were made of, beside the configuration's
	err    error      // of the last try, nil when it is the one that runs
}

// fixed are the settings that only a restart changes.
var fixed = []string{
	"LISTEN_ADDR", "ADMIN_ADDR", "TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_CLIENT_CA_FILE", "CLIENT_HEADER_TIMEOUT", "CLIENT_STALL_TIMEOUT", "MAX_HEADER_BYTES",
	"DRAIN_TIMEOUT", "CORS_ALLOW_ORIGIN", "DEBUG_MODE", "LOG_FORMAT", "LOG_FILE", "LOG_LINES_PER_SECOND", "ACCESS_LOG",
	"REDIS_URL",
	"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_PROTOCOL",
	"OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED",
}

// SetSource says how the configuration is loaded again by Reload. It is called
// before Serve.
func (s *Server) SetSource(load func() (Config, error)) { s.reloads.source = load }

// Reload loads the configuration again. Requests that run keep the one that they
// began with; all that come have the new one. A configuration with a mistake
// changes nothing: the error says what is wrong with it.
func (s *Server) Reload() error {
	s.reopenLog()
	r := &s.reloads
	if r.source == nil {
		return errors.New("there is nothing to load the configuration from")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	cfg, err := r.source()
	if err == nil {
		err = s.apply(cfg)
	}
	r.result.Lock()
	r.err = err
	if err == nil {
		r.at, r.files = time.Now(), nil
	}
	// What a broken one names may be what is wrong with it.
	for _, path := range cfg.sources {
		if !slices.Contains(r.files, path) {
			r.files = append(r.files, path)
		}
	}
	r.result.Unlock()
	s.metrics.reloaded(err)
	if err != nil {
		s.log.Error("the configuration is not loaded, the old one stays", "mistakes", err.Error())
		return err
	}
	s.log.Info("configuration loaded", "groups", strings.Join(s.state.Load().names(), ","))
	return nil
}

// apply makes cfg the configuration of what begins from now on.
func (s *Server) apply(cfg Config) error {
	cfg.rootCAs = s.cfg.rootCAs
	if err := CheckLimits(&cfg); err != nil {
		return err
	}
	old := s.state.Load()
	st, err := s.newState(cfg, old)
	if err != nil {
		return err
	}
	s.mu.Lock()
	listeners := s.listeners
	s.mu.Unlock()
	for _, l := range listeners {
		if err := st.exposed(l.Addr()); err != nil {
			return err
		}
	}
	for _, name := range fixed {
		row := settingByKey(strings.ToLower(name))
		if before, now := row.format(&s.cfg), row.format(&cfg); before != now {
			s.log.Warn("setting needs a restart", "setting", name)
		}
	}
	s.metrics.prime(st.names())
	s.state.Store(st)
	s.gate.SetLimits(gateLimits(&cfg), time.Now())
	s.dropTransports(st)
	return nil
}

// exposed returns an error if others than this machine could reach a listener
// and use the keys of groups without saying who they are.
func (st *state) exposed(l net.Addr) error {
	if !st.keyed() || st.clients.Len() > 0 || isPrivateListener(l) {
		return nil
	}
	return fmt.Errorf("%s can be reached by others, who could use the keys of the groups: list who may under clients", l)
}

// dropTransports forgets the connections that no group uses any more. Those that
// carry a request close when it is over.
func (s *Server) dropTransports(st *state) {
	used := map[*transport]bool{}
	for _, g := range st.groups {
		for _, t := range g.targets {
			used[t.conn] = true
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, t := range s.transports {
		if !used[t] {
			delete(s.transports, key)
			t.hc.CloseIdleConnections()
		}
	}
}

// fileTick is how often the files of the configuration are looked at.
const fileTick = time.Second

// WatchFiles calls Reload when the configuration's file, or a file of keys or
// tokens that it names, has changed and is left alone for a moment. It returns
// when the server is drained.
func (s *Server) WatchFiles(file string) {
	t := time.NewTicker(fileTick)
	defer t.Stop()
	loaded := s.stamps(file)
	last := loaded
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		now := s.stamps(file)
		if !maps.Equal(now, loaded) && maps.Equal(now, last) {
			// A mistake is said by Reload, once for each version of the files.
			_ = s.Reload()
			// What changes from here on is not what was loaded.
			loaded = s.stamps(file)
			for path := range loaded {
				if stamp, known := now[path]; known {
					loaded[path] = stamp
				}
			}
			now = loaded
		}
		last = now
	}
}

// stamps tell versions of the configuration's files apart, by path.
func (s *Server) stamps(file string) map[string]string {
	s.reloads.result.Lock()
	files := append([]string{file}, s.reloads.files...)
	s.reloads.result.Unlock()
	stamps := make(map[string]string, len(files))
	for _, path := range files {
		if st, err := os.Stat(path); err == nil {
			stamps[path] = fmt.Sprint(st.Size(), st.ModTime().UnixNano())
		} else {
			stamps[path] = "missing"
		}
	}
	return stamps
}
