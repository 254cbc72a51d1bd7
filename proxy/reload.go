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
	main   []string   // files of the configuration itself
	files  []string   // others that it and the last try were made of
	stamps stamps     // of all of them, from before they were read
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

// SetSource says how the configuration is loaded again by Reload, and from which
// files, beside those that it names. It is called before Serve.
func (s *Server) SetSource(load func() (Config, error), files ...string) {
	s.reloads.source = load
	s.reloads.main = append(s.reloads.main, files...)
	s.reloads.stamps = s.stampFiles()
}

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
	before := s.stampFiles()
	cfg, err := r.source()
	if s.MakeRoom(err) {
		cfg, err = r.source()
	}
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
		if _, known := before[path]; !known {
			before[path] = stampOf(path)
		}
	}
	if r.stamps = before; outOfDescriptors(err) {
		// That says nothing of the files, and passes: WatchFiles tries again.
		r.stamps = nil
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
	s.metrics.follow(st.names())
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
	r := &s.reloads
	r.result.Lock()
	if !slices.Contains(r.main, file) {
		r.main = append(r.main, file)
		// Nobody knows what it was like when it was read: it is read once more.
		known := stamps{file: ""}
		maps.Copy(known, r.stamps)
		r.stamps = known
	}
	r.result.Unlock()
	t := time.NewTicker(fileTick)
	defer t.Stop()
	last := s.stampFiles()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		}
		now := s.stampFiles()
		if s.changed(now) && maps.Equal(now, last) {
			// A mistake is said by Reload, once for each version of the files.
			_ = s.Reload()
		}
		last = now
	}
}

// changed tells whether files are not as they were before they were read.
func (s *Server) changed(now stamps) bool {
	s.reloads.result.Lock()
	defer s.reloads.result.Unlock()
	for path, stamp := range now {
		if s.reloads.stamps[path] != stamp {
			return true
		}
	}
	return false
}

// stamps tell versions of files apart, by path.
type stamps map[string]string

// stampFiles returns the stamps of all files of the configuration.
func (s *Server) stampFiles() stamps {
	s.reloads.result.Lock()
	files := slices.Concat(s.reloads.main, s.reloads.files)
	s.reloads.result.Unlock()
	all := make(stamps, len(files))
	for _, path := range files {
		all[path] = stampOf(path)
	}
	return all
}

func stampOf(path string) string {
	st, err := os.Stat(path)
	if err != nil {
		return "missing"
	}
	return fmt.Sprint(st.Size(), st.ModTime().UnixNano()) + inodeStamp(st)
}
