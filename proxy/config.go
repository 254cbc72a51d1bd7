package proxy

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"gemini-resilient-proxy/routing"
)

// Config holds every setting of the proxy, one field each. DefaultConfig and
// LoadConfig make one; whoever changes a field afterwards calls Validate. A
// Config in use does not change.
type Config struct {
	// sources are the files beside the configuration's that it was made of: those
	// of keys and tokens. They are known of one with mistakes, too.
	sources []string

	// ListenAddr is the public listener: "[host]:port" or "unix:/path".
	ListenAddr string
	// AdminAddr is the listener of health, metrics and pprof, in the same
	// form. Empty turns it off.
	AdminAddr string
	// TLSCertFile and TLSKeyFile make the public listener speak TLS: PEM files
	// with a certificate chain and its key. Both are set or none.
	TLSCertFile, TLSKeyFile string
	// TLSClientCAFile makes it ask clients for a certificate of one of the
	// authorities in this PEM file.
	TLSClientCAFile string
	// UpstreamURLBase is scheme://host[:port][/path] of the upstream.
	UpstreamURLBase string
	// GroupMapping maps each group's name to the path between the upstream's
	// base and the client's path.
	GroupMapping map[string]string
	// DefaultGroup is the group of requests that name none.
	DefaultGroup string

	// MaxConsecutiveFailures is how many interruptions in a row, with no
	// new answer text between them, are retried. 0 turns healing off.
	MaxConsecutiveFailures int
	// MaxAttempts bounds the attempts of one client request.
	MaxAttempts int
	// RetryBaseDelay is the upper end of the first wait before a retry. It
	// doubles with each failure, up to RetryMaxDelay.
	RetryBaseDelay time.Duration
	// RetryMaxDelay is the upper end of all waits the upstream did not ask for.
	RetryMaxDelay time.Duration
	// RetryAfterMax is the longest wait the upstream may ask for. A request
	// told to wait longer is given up.
	RetryAfterMax time.Duration

	// ConnectTimeout bounds dialing and the TLS handshake.
	ConnectTimeout time.Duration
	// FirstEventTimeout bounds the time from the request sent upstream to
	// the first event.
	FirstEventTimeout time.Duration
	// StallTimeout bounds the silence between two reads of a running stream.
	StallTimeout time.Duration
	// ClientHeaderTimeout bounds the time a client takes for a request's head.
	ClientHeaderTimeout time.Duration
	// ClientStallTimeout bounds the silence of a client while its body is
	// read, and the time it does not take what is written.
	ClientStallTimeout time.Duration
	// TunnelIdleTimeout is how long a tunnel may be silent in both directions.
	TunnelIdleTimeout time.Duration
	// DrainTimeout is how long running streams go on after SIGTERM.
	DrainTimeout time.Duration
	// StreamDeadline bounds one client request, all attempts and waits
	// together.
	StreamDeadline time.Duration

	// MaxHeaderBytes bounds the heads of requests and upstream responses.
	MaxHeaderBytes int
	// MaxBodyBytes bounds request bodies that are held for a retry.
	MaxBodyBytes int
	// MaxTranscriptBytes bounds what is kept of a delivered answer. Past it a
	// stream goes on but is no longer healed.
	MaxTranscriptBytes int

	// RetryBudget says which groups have a bound on retries and
	// continuations: "on" all, "off" none, "auto" those of the file.
	RetryBudget string
	// RetryBudgetPercent is the share of a group's running requests that may
	// be retried or continued within ten seconds; RetryBudgetPerSecond are
	// the retries a second that are free.
	RetryBudgetPercent, RetryBudgetPerSecond int
	// EjectAfter is how many failures in a row eject a target, for EjectTime
	// the first time and at most for EjectMaxTime; 0 never ejects.
	EjectAfter              int
	EjectTime, EjectMaxTime time.Duration

	// MaxStreams is how many requests run at once, MaxQueue how many may
	// wait, and QueueTimeout how long. No limit is 0.
	MaxStreams   int
	MaxQueue     int
	QueueTimeout time.Duration

	// RedisURL is the server over which replicas share limits; empty for none.
	RedisURL routing.Secret

	// RetryFinishReasons are the finish reasons treated as interruptions.
	RetryFinishReasons []string
	// Heal says what is done with interruptions: "on", "off", or "shadow",
	// which counts them and changes nothing.
	Heal string
	// UnaryViaStream asks the streaming endpoint for answers that clients
	// want in one document.
	UnaryViaStream bool
	// ContinueMode says how a model is asked to go on: "prompt" by a user
	// turn, "prefill" by its own words alone, "auto" by what it is known to
	// take.
	ContinueMode string
	// ContinuePrompt is the user turn of a continuation; {anchor} stands for
	// the words to repeat.
	ContinuePrompt string
	// ChaosCutAfter cuts every upstream stream after so many events; 0 does
	// not. It is for trying the proxy out.
	ChaosCutAfter int
	// CORSAllowOrigin is "*", a list of origins in lower case joined by ",",
	// or empty for no CORS headers.
	CORSAllowOrigin string
	// DebugMode logs a line for each attempt and seam.
	DebugMode bool
	// LogFormat is "text" or "json".
	LogFormat string
	// LogFile is the file of the log, empty for standard error.
	LogFile string
	// LogLinesPerSecond bounds the lines below warnings, 0 does not.
	LogLinesPerSecond int
	// AccessLog says which requests get a log line: all, problems, off.
	AccessLog string

	// Trace says whether and where traces go.
	Trace TraceConfig

	// Groups are the groups of the file, beside those of GroupMapping, and
	// Clients those who may use groups with keys of their own.
	Groups  []GroupConfig
	Clients []ClientConfig

	// rootCAs are the authorities to trust upstream, nil for those of the
	// system. It is no setting: tests bring their own certificate.
	rootCAs *x509.CertPool
}

// DefaultConfig returns the configuration of a proxy that is told nothing.
func DefaultConfig() Config {
	var c Config
	for _, s := range settingTable {
		if err := s.parse(&c, s.def); err != nil {
			panic(fmt.Sprintf("BUG: default of %s: %v", s.name, err))
		}
	}
	return c
}

// LoadConfig returns the defaults, overridden by the YAML file of the given
// path if there is one, overridden by the environment as getenv shows it
// (os.LookupEnv). The error lists every mistake of both, one a line, each with
// the place, the value and what is allowed; the Config is then of no use.
func LoadConfig(file string, getenv func(string) (string, bool)) (Config, error) {
	l := loader{config: DefaultConfig(), origin: map[string]string{}, bad: map[string]bool{}}
	if file != "" {
		l.loadFile(file)
	}
	for i := range settingTable {
		s := &settingTable[i]
		if value, ok := getenv(s.name); ok {
			l.set(s, s.name, value)
		}
	}
	l.loadSections(getenv)
	_, l.inherits = getenv("LISTEN_FDS")
	l.checkTogether()
	return l.config, errors.Join(l.errs...)
}

// Validate returns every mistake in a Config that was not made by LoadConfig
// alone, one a line.
func (c *Config) Validate() error {
	l := loader{origin: map[string]string{}, bad: map[string]bool{}}
	for i := range settingTable {
		s := &settingTable[i]
		if s.name == "GROUP_MAPPING" && len(c.Groups) > 0 && len(c.GroupMapping) == 0 {
			continue
		}
		l.set(s, s.name, s.format(c))
	}
	l.config.Groups, l.config.Clients = c.Groups, c.Clients
	l.checkTogether()
	return errors.Join(l.errs...)
}

// loader collects a Config and the mistakes found on the way.
type loader struct {
	config Config
	errs   []error
	// origin says for each setting where its value was written.
	origin map[string]string
	// bad holds the settings whose value could not be used. What depends on
	// them is not checked, as the mistake would be a consequence of theirs.
	bad map[string]bool
	// sections are the parts of the file that are no settings.
	sections []section
	getenv   func(string) (string, bool)
	// inherits tells that the public listener may be a socket that was handed
	// over (sd_listen_fds(3)), whatever LISTEN_ADDR is. Serve looks at that.
	inherits bool
}

func (l *loader) fail(origin, format string, args ...any) {
	l.errs = append(l.errs, fmt.Errorf("%s: %w", origin, fmt.Errorf(format, args...)))
}

// set parses a value written at origin into the setting's field.
func (l *loader) set(s *setting, origin, value string) {
	l.origin[s.name] = origin
	err := s.parse(&l.config, value)
	l.bad[s.name] = err != nil
	if err == nil {
		return
	}
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	shown := settingValue(value)
	if s.secret {
		shown = notShown
	}
	for _, err := range list {
		l.fail(origin, "%s: %w", shown, err)
	}
}

// where returns the place to name in a mistake about a setting's value.
func (l *loader) where(name string) string {
	if origin := l.origin[name]; origin != "" {
		return origin
	}
	return name
}

// checkTogether checks what no setting shows alone.
func (l *loader) checkTogether() {
	c := &l.config
	usable := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(name string) bool { return l.bad[name] })
	}
	if usable("RETRY_BASE_DELAY", "RETRY_MAX_DELAY") && c.RetryMaxDelay < c.RetryBaseDelay {
		l.fail(l.where("RETRY_MAX_DELAY"), `"%v": must not be less than RETRY_BASE_DELAY, which is "%v"`, c.RetryMaxDelay, c.RetryBaseDelay)
	}
	// Two listeners on port 0 get a port each.
	if usable("LISTEN_ADDR", "ADMIN_ADDR") && c.AdminAddr == c.ListenAddr && !strings.HasSuffix(c.AdminAddr, ":0") {
		l.fail(l.where("ADMIN_ADDR"), "%s: must not be the same as LISTEN_ADDR", settingValue(c.AdminAddr))
	}
	l.checkTLS()
	if usable("EJECT_TIME", "EJECT_MAX_TIME") && c.EjectMaxTime < c.EjectTime {
		l.fail(l.where("EJECT_MAX_TIME"), `"%v": must not be less than EJECT_TIME, which is "%v"`, c.EjectMaxTime, c.EjectTime)
	}
	if usable("DEFAULT_GROUP", "GROUP_MAPPING") {
		l.checkGroups()
	}
	l.checkClients()
}

// readConfigFile reads a file that is not too large to be a configuration.
func readConfigFile(path string) ([]byte, error) {
	data, err := readFile(path, maxConfigFile)
	if err == nil && !utf8.Valid(data) {
		err = errors.New("not valid UTF-8")
	}
	if err == nil {
		return data, nil
	}
	return nil, fmt.Errorf("cannot be read: %w", err)
}
