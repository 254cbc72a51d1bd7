package proxy

import (
	"strings"
	"time"
)

// Setting describes one setting for whoever documents it.
type Setting struct {
	// Name is the environment variable; a YAML file has it in lower case.
	Name string
	// Default is the value of a proxy that is told nothing, as one would
	// write it.
	Default string
	// Meaning is a phrase in plain text.
	Meaning string
}

// Settings returns all settings in the order in which they are documented.
func Settings() []Setting {
	list := make([]Setting, len(settingTable))
	for i, s := range settingTable {
		list[i] = Setting{Name: s.name, Default: s.def, Meaning: s.meaning}
	}
	return list
}

// setting is a row of the table that drives the defaults, the environment, the
// file and the documentation.
type setting struct {
	name    string
	def     string
	meaning string
	codec
	// shape says what else than a single value a YAML file may hold.
	shape shape
	// own says that a group may have a value of its own.
	own bool
	// secret says that the value is never repeated.
	secret bool
}

// key returns the setting's name in a YAML file.
func (s *setting) key() string { return strings.ToLower(s.name) }

// codec ties a setting's text to its field.
type codec struct {
	// parse sets the field, or returns what is wrong with the text, without
	// repeating it, as a phrase that follows it. The error may join several.
	parse func(c *Config, text string) error
	// format returns a text that parse takes back.
	format func(c *Config) string
	// kind is the type of the value in a YAML file, nil for any text.
	kind schema
}

type shape uint8

const (
	shapeScalar shape = iota
	shapeList
	shapeMapping
)

const (
	defaultFinishReasons = "SAFETY,RECITATION,LANGUAGE,OTHER,MALFORMED_FUNCTION_CALL,MALFORMED_RESPONSE,UNEXPECTED_TOOL_CALL,FINISH_REASON_UNSPECIFIED"

	defaultContinuePrompt = "Your previous message was cut off before it was complete. " +
		"Continue it: first repeat its last words, given between the marks, exactly as they are, " +
		"then go straight on from there. <<<{anchor}>>> " +
		"Write nothing before or between, no marks, no introduction, no apology, no comment, " +
		"and keep the same language, style and formatting."
)

var settingTable = []setting{
	{name: "LISTEN_ADDR", def: ":8080",
		meaning: "address of the public listener: [host]:port or unix:/path",
		codec:   addressCodec(func(c *Config) *string { return &c.ListenAddr }, false)},
	{name: "ADMIN_ADDR", def: "127.0.0.1:9090",
		meaning: "address of health, metrics and pprof, never on the public listener; empty turns it off",
		codec:   addressCodec(func(c *Config) *string { return &c.AdminAddr }, true)},
	{name: "TLS_CERT_FILE",
		meaning: "PEM file with the certificate of the public listener and its chain, which then speaks TLS; read again when it changes",
		codec:   fileCodec(func(c *Config) *string { return &c.TLSCertFile })},
	{name: "TLS_KEY_FILE",
		meaning: "PEM file with the key of that certificate",
		codec:   fileCodec(func(c *Config) *string { return &c.TLSKeyFile })},
	{name: "TLS_CLIENT_CA_FILE",
		meaning: "PEM file with authorities; clients without a certificate of one of them are turned away",
		codec:   fileCodec(func(c *Config) *string { return &c.TLSClientCAFile })},
	{name: "UPSTREAM_URL_BASE", def: "https://generativelanguage.googleapis.com",
		meaning: "scheme://host[:port][/path] of the upstream",
		codec:   baseCodec},
	{name: "GROUP_MAPPING", def: `{"default":""}`, shape: shapeMapping,
		meaning: "JSON object of group name to the path put between the base and the client's path",
		codec:   groupsCodec},
	{name: "DEFAULT_GROUP", def: "default",
		meaning: "group of requests that name none; must be a key of GROUP_MAPPING",
		codec:   groupNameCodec},
	{name: "MAX_CONSECUTIVE_FAILURES", def: "5", own: true,
		meaning: "interruptions in a row, with no new answer text between them, that are retried; 0 turns healing off",
		codec:   intCodec(func(c *Config) *int { return &c.MaxConsecutiveFailures }, 0, 1000)},
	{name: "MAX_ATTEMPTS", def: "30", own: true,
		meaning: "attempts per client request, progress or not",
		codec:   intCodec(func(c *Config) *int { return &c.MaxAttempts }, 1, 10_000)},
	{name: "RETRY_BASE_DELAY", def: "250ms", own: true,
		meaning: "upper end of the random wait before the first retry; it doubles with each failure",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.RetryBaseDelay }, true)},
	{name: "RETRY_MAX_DELAY", def: "8s", own: true,
		meaning: "upper end of the random wait before any retry; at least RETRY_BASE_DELAY",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.RetryMaxDelay }, true)},
	{name: "RETRY_AFTER_MAX", def: "30s", own: true,
		meaning: "longest wait the upstream may ask for; a request told to wait longer is not retried",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.RetryAfterMax }, true)},
	{name: "CONNECT_TIMEOUT", def: "10s", own: true,
		meaning: "dial and TLS handshake",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.ConnectTimeout }, false)},
	{name: "FIRST_EVENT_TIMEOUT", def: "5m", own: true,
		meaning: "request sent to first event; the client's X-Server-Timeout lowers it",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.FirstEventTimeout }, false)},
	{name: "STALL_TIMEOUT", def: "90s", own: true,
		meaning: "silence between two reads of a stream that has begun",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.StallTimeout }, false)},
	{name: "CLIENT_HEADER_TIMEOUT", def: "10s",
		meaning: "time a client has for a request's head",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.ClientHeaderTimeout }, false)},
	{name: "CLIENT_STALL_TIMEOUT", def: "60s",
		meaning: "silence of a client while its body is read, or while it does not take what is written",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.ClientStallTimeout }, false)},
	{name: "TUNNEL_IDLE_TIMEOUT", def: "10m",
		meaning: "silence in both directions of a WebSocket, after which it is ended",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.TunnelIdleTimeout }, false)},
	{name: "MAX_HEADER_BYTES", def: "32768",
		meaning: "size of request heads and upstream response heads; more is 431 or 502",
		codec:   intCodec(func(c *Config) *int { return &c.MaxHeaderBytes }, 4<<10, 1<<20)},
	{name: "DRAIN_TIMEOUT", def: "5m",
		meaning: "time after SIGTERM before running streams are ended",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.DrainTimeout }, true)},
	{name: "STREAM_DEADLINE", def: "30m", own: true,
		meaning: "one client request, all attempts and waits together",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.StreamDeadline }, false)},
	{name: "MAX_BODY_BYTES", def: "134217728", own: true,
		meaning: "size of request bodies that must be held for a retry; more is 413",
		codec:   intCodec(func(c *Config) *int { return &c.MaxBodyBytes }, 1<<10, 1<<30)},
	{name: "MAX_TRANSCRIPT_BYTES", def: "4194304", own: true,
		meaning: "size of an answer past which it goes on but can no longer be healed",
		codec:   intCodec(func(c *Config) *int { return &c.MaxTranscriptBytes }, 1<<10, 1<<30)},
	{name: "RETRY_FINISH_REASONS", def: defaultFinishReasons, shape: shapeList, own: true,
		meaning: "finish reasons treated as interruptions; empty for none",
		codec:   finishReasonsCodec},
	{name: "RETRY_BUDGET", def: "auto", own: true,
		meaning: "bounds retries and continuations together: on, off, or auto, which is on for groups of the file and off for those of GROUP_MAPPING",
		codec:   choiceCodec(func(c *Config) *string { return &c.RetryBudget }, "auto", "on", "off")},
	{name: "RETRY_BUDGET_PERCENT", def: "20", own: true,
		meaning: "with a budget: share of a group's running requests that may be retried or continued within ten seconds",
		codec:   intCodec(func(c *Config) *int { return &c.RetryBudgetPercent }, 0, 1000)},
	{name: "RETRY_BUDGET_PER_SECOND", def: "10", own: true,
		meaning: "with a budget: retries and continuations a second that a group has in any case",
		codec:   intCodec(func(c *Config) *int { return &c.RetryBudgetPerSecond }, 0, 1_000_000)},
	{name: "EJECT_AFTER", def: "5", own: true,
		meaning: "failures in a row after which a target of a group is left out for a while; 0 never",
		codec:   intCodec(func(c *Config) *int { return &c.EjectAfter }, 0, 1000)},
	{name: "EJECT_TIME", def: "30s", own: true,
		meaning: "time a failing target is left out; the n-th time in a row it is n times as long",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.EjectTime }, false)},
	{name: "EJECT_MAX_TIME", def: "5m", own: true,
		meaning: "upper end of that time; at least EJECT_TIME",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.EjectMaxTime }, false)},
	{name: "MAX_STREAMS", def: "0", own: true,
		meaning: "requests that run at once; more wait or are refused; 0 is no limit",
		codec:   intCodec(func(c *Config) *int { return &c.MaxStreams }, 0, 1_000_000)},
	{name: "MAX_QUEUE", def: "100",
		meaning: "requests that may wait for one of them to end; 0 refuses at once",
		codec:   intCodec(func(c *Config) *int { return &c.MaxQueue }, 0, 1_000_000)},
	{name: "QUEUE_TIMEOUT", def: "2s",
		meaning: "time a request waits at most before it is refused",
		codec:   durationCodec(func(c *Config) *time.Duration { return &c.QueueTimeout }, true)},
	{name: "REDIS_URL", def: "off", secret: true,
		meaning: "Redis or Valkey over which replicas share limits, parked keys, ejections and where files and conversations belong: redis://[user:password@]host[:port][/db], rediss:// with TLS, or unix:///path; or off",
		codec:   redisCodec},
	{name: "HEAL", def: "on", own: true,
		meaning: "on; off relays everything; shadow relays too, and counts what would have been healed",
		codec:   choiceCodec(func(c *Config) *string { return &c.Heal }, "on", "off", "shadow")},
	{name: "UNARY_VIA_STREAM", def: "false", own: true,
		meaning: "true asks the streaming endpoint for the answers of generateContent, so that a connection that breaks loses nothing of them",
		codec:   boolCodec(func(c *Config) *bool { return &c.UnaryViaStream })},
	{name: "CONTINUE_MODE", def: "auto", own: true,
		meaning: "how a model is asked to go on: prompt adds a user turn, prefill ends with the model's own words, auto takes prefill for the models that are known to take it",
		codec:   choiceCodec(func(c *Config) *string { return &c.ContinueMode }, "auto", "prompt", "prefill")},
	{name: "CONTINUE_PROMPT", def: defaultContinuePrompt, own: true,
		meaning: "the user turn of a continuation, at most 4096 bytes; {anchor} stands for the words to repeat, without it no repeat is expected",
		codec:   promptCodec},
	{name: "CORS_ALLOW_ORIGIN", def: "*",
		meaning: "* or a comma-separated list of origins that browsers may call from; empty sends no CORS headers",
		codec:   originsCodec},
	{name: "DEBUG_MODE", def: "false",
		meaning: "true logs a line for each attempt and seam",
		codec:   boolCodec(func(c *Config) *bool { return &c.DebugMode })},
	{name: "LOG_FORMAT", def: "text",
		meaning: "text or json",
		codec:   choiceCodec(func(c *Config) *string { return &c.LogFormat }, "text", "json")},
	{name: "LOG_FILE", def: "",
		meaning: "absolute path of a file for the log, in place of standard error; it may be moved away at any time",
		codec:   logFileCodec},
	{name: "LOG_LINES_PER_SECOND", def: "2000",
		meaning: "log lines below warnings that are written in a second; the others are counted; 0 is no limit",
		codec:   intCodec(func(c *Config) *int { return &c.LogLinesPerSecond }, 0, 1_000_000)},
	{name: "ACCESS_LOG", def: "all",
		meaning: "which requests get a log line: all, problems (answered with 5xx, or given up), off",
		codec:   choiceCodec(func(c *Config) *string { return &c.AccessLog }, "all", "problems", "off")},
	{name: "CHAOS_CUT_AFTER", def: "0",
		meaning: "cuts every upstream stream after so many events, to watch a real model being healed; 0 does not",
		codec:   intCodec(func(c *Config) *int { return &c.ChaosCutAfter }, 0, 1_000_000)},
	{name: "OTEL_EXPORTER_OTLP_ENDPOINT", def: "",
		meaning: "URL of a collector that takes OpenTelemetry's OTLP over HTTP; /v1/traces is added to it; empty makes no traces",
		codec:   otelCodec("", func(c *TraceConfig) *string { return &c.Endpoint }, checkCollector)},
	{name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", def: "",
		meaning: "the same, but used as it is written; it wins over the other",
		codec:   otelCodec("", func(c *TraceConfig) *string { return &c.TracesEndpoint }, checkCollector)},
	{name: "OTEL_EXPORTER_OTLP_HEADERS", def: "", secret: true,
		meaning: "headers for the collector: name=value, joined by commas, values percent-encoded; never shown",
		codec:   headersCodec},
	{name: "OTEL_EXPORTER_OTLP_PROTOCOL", def: "http/protobuf",
		meaning: "http/protobuf is the one that is spoken",
		codec:   otelChoiceCodec(func(c *TraceConfig) *string { return &c.Protocol }, "http/protobuf")},
	{name: "OTEL_TRACES_EXPORTER", def: "otlp",
		meaning: "otlp; none makes no traces",
		codec:   otelChoiceCodec(func(c *TraceConfig) *string { return &c.Exporter }, "otlp", "none")},
	{name: "OTEL_TRACES_SAMPLER", def: "parentbased_always_on",
		meaning: "which requests are traced: always_on, always_off, traceidratio, and these with parentbased_ in front, which do as the client's traceparent says",
		codec: otelChoiceCodec(func(c *TraceConfig) *string { return &c.Sampler }, "parentbased_always_on", "parentbased_always_off",
			"parentbased_traceidratio", "always_on", "always_off", "traceidratio")},
	{name: "OTEL_TRACES_SAMPLER_ARG", def: "1",
		meaning: "share of the requests that traceidratio takes, from 0 to 1",
		codec:   samplerArgCodec},
	{name: "OTEL_SERVICE_NAME", def: defaultServiceName,
		meaning: "service.name of the traces",
		codec:   otelCodec(defaultServiceName, func(c *TraceConfig) *string { return &c.ServiceName }, checkServiceName)},
	{name: "OTEL_RESOURCE_ATTRIBUTES", def: "",
		meaning: "more of what the traces say of their source: name=value, joined by commas, values percent-encoded",
		codec:   otelCodec("", func(c *TraceConfig) *string { return &c.ResourceAttributes }, checkResource)},
	{name: "OTEL_SDK_DISABLED", def: "false",
		meaning: "true makes no traces",
		codec:   boolCodec(func(c *Config) *bool { return &c.Trace.Disabled })},
}
