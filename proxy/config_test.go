package proxy

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gemini-resilient-proxy/routing"
)

// envOf returns a getenv over pairs of name and value.
func envOf(pairs ...string) func(string) (string, bool) {
	env := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		env[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) {
		value, ok := env[name]
		return value, ok
	}
}

// configFile writes a YAML file and returns its path.
func configFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultConfig(t *testing.T) {
	want := Config{
		ListenAddr: ":8080", AdminAddr: "127.0.0.1:9090",
		UpstreamURLBase: "https://generativelanguage.googleapis.com",
		GroupMapping:    map[string]string{"default": ""}, DefaultGroup: "default",
		MaxConsecutiveFailures: 5, MaxAttempts: 30,
		RetryBaseDelay: 250 * time.Millisecond, RetryMaxDelay: 8 * time.Second, RetryAfterMax: 30 * time.Second,
		ConnectTimeout: 10 * time.Second, FirstEventTimeout: 5 * time.Minute, StallTimeout: 90 * time.Second,
		ClientHeaderTimeout: 10 * time.Second, ClientStallTimeout: time.Minute, TunnelIdleTimeout: 10 * time.Minute,
		DrainTimeout: 5 * time.Minute, StreamDeadline: 30 * time.Minute,
		MaxHeaderBytes: 32 << 10, MaxBodyBytes: 128 << 20, MaxTranscriptBytes: 4 << 20,
		RetryFinishReasons: []string{"SAFETY", "RECITATION", "LANGUAGE", "OTHER", "MALFORMED_FUNCTION_CALL",
			"MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "FINISH_REASON_UNSPECIFIED"},
		ContinuePrompt: "Your previous message was cut off before it was complete. Continue it: first repeat its last words, " +
			"given between the marks, exactly as they are, then go straight on from there. <<<{anchor}>>> " +
			"Write nothing before or between, no marks, no introduction, no apology, no comment, and keep the same language, style and formatting.",
		CORSAllowOrigin: "*", LogFormat: "text", AccessLog: "all", Heal: "on", ContinueMode: "auto",
		RetryBudget: "auto", RetryBudgetPercent: 20, RetryBudgetPerSecond: 10,
		EjectAfter: 5, EjectTime: 30 * time.Second, EjectMaxTime: 5 * time.Minute,
		MaxQueue: 100, QueueTimeout: 2 * time.Second, LogLinesPerSecond: 2000,
		Trace: TraceConfig{Protocol: "http/protobuf", Exporter: "otlp", Sampler: "parentbased_always_on", SamplerArg: 1, ServiceName: "gemini-resilient-proxy"},
	}
	got := DefaultConfig()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	got, err := LoadConfig("", envOf())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("LoadConfig of nothing = %+v, %v", got, err)
	}
}

func TestLoadConfigFull(t *testing.T) {
	want := Config{
		ListenAddr: "unix:/run/proxy/public.sock", UpstreamURLBase: "http://[::1]:8443/base/",
		GroupMapping: map[string]string{"default": "", "team-a": "/team-a", "1": "/one"}, DefaultGroup: "team-a",
		MaxAttempts: 7, RetryMaxDelay: time.Second,
		ConnectTimeout: 3 * time.Second, FirstEventTimeout: 90 * time.Second, StallTimeout: 1500 * time.Millisecond,
		ClientHeaderTimeout: 4 * time.Second, ClientStallTimeout: 5 * time.Second, TunnelIdleTimeout: time.Hour, StreamDeadline: time.Hour,
		MaxHeaderBytes: 8192, MaxBodyBytes: 2048, MaxTranscriptBytes: 4096,
		RetryFinishReasons: []string{"SAFETY", "NO_IMAGE"}, ContinuePrompt: "Go on.\nFrom there.",
		CORSAllowOrigin: "https://app.example,http://localhost:3000", DebugMode: true, LogFormat: "json", AccessLog: "problems",
		Heal: "shadow", ContinueMode: "prefill", UnaryViaStream: true, ChaosCutAfter: 3,
		RetryBudget: "off", RetryBudgetPercent: 50, EjectAfter: 2, EjectTime: time.Second, EjectMaxTime: 3 * time.Second,
		MaxStreams: 9, MaxQueue: 8, LogFile: "/var/log/proxy/proxy.log",
		RedisURL: routing.Secret("rediss://user:secret@valkey.example:6380/2"),
		Trace: TraceConfig{Endpoint: "http://localhost:4318", TracesEndpoint: "https://collector.example/v1/traces?team=a", Protocol: "http/protobuf",
			Headers: routing.Secret("api-key=se%20cret,x=y"), Exporter: "none", Sampler: "parentbased_traceidratio", SamplerArg: 0.25,
			ServiceName: "gemini", ResourceAttributes: "deployment.environment.name=test", Disabled: true},
	}
	got, err := LoadConfig("testdata/config/full.yaml", envOf())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\n got %+v\nwant %+v", got, want)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	// The same from the environment: every field must go through its text.
	var env []string
	for _, s := range settingTable {
		env = append(env, s.name, s.format(&want))
	}
	got, err = LoadConfig("", envOf(env...))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("from the environment:\n got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestLoadConfigEnvironmentWins(t *testing.T) {
	file := configFile(t, "stall_timeout: 1s\nmax_attempts: 2\nadmin_addr: :1\n")
	c, err := LoadConfig(file, envOf("MAX_ATTEMPTS", "3", "ADMIN_ADDR", ""))
	if err != nil {
		t.Fatal(err)
	}
	if c.StallTimeout != time.Second || c.MaxAttempts != 3 || c.AdminAddr != "" {
		t.Errorf("%v, %d, %q", c.StallTimeout, c.MaxAttempts, c.AdminAddr)
	}
	if c.MaxHeaderBytes != 32768 {
		t.Errorf("MaxHeaderBytes = %d, not the default", c.MaxHeaderBytes)
	}
}

func TestLoadConfigReportsAllMistakes(t *testing.T) {
	want, err := os.ReadFile("testdata/config/mistakes.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, err = LoadConfig("testdata/config/mistakes.yaml", envOf("CONNECT_TIMEOUT", "", "MAX_ATTEMPTS", "0"))
	if err == nil {
		t.Fatal("no error")
	}
	if got := err.Error() + "\n"; got != string(want) {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestLoadConfigUnreadableFile(t *testing.T) {
	directory := t.TempDir()
	f := func(path, want string) {
		t.Helper()
		_, err := LoadConfig(path, envOf())
		if err == nil || err.Error() != want {
			t.Errorf("LoadConfig(%q): %v, want %s", path, err, want)
		}
	}
	f(directory+"/none.yaml", directory+"/none.yaml: cannot be read: no such file or directory")
	f(directory+"/a\nb", directory+`/a\nb: cannot be read: no such file or directory`)
	f(directory, directory+": cannot be read: is a directory, must be a regular file or a link to one")
	large := configFile(t, strings.Repeat("#\n", maxConfigFile))
	f(large, large+": cannot be read: larger than 1048576 bytes")
	binary := configFile(t, "listen_addr: \xff\n")
	f(binary, binary+": cannot be read: not valid UTF-8")
	// Mistakes of the environment are told all the same.
	_, err := LoadConfig(directory, envOf("DEBUG_MODE", "on"))
	if err == nil || !strings.HasSuffix(err.Error(), "\nDEBUG_MODE: \"on\": must be true, false, 1 or 0") {
		t.Errorf("%v", err)
	}
}

func TestLoadConfigTogether(t *testing.T) {
	f := func(want string, env ...string) {
		t.Helper()
		_, err := LoadConfig("", envOf(env...))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%q:\n got %s\nwant %s", env, got, want)
		}
	}
	f("", "RETRY_BASE_DELAY", "8s")
	f(`RETRY_MAX_DELAY: "8s": must not be less than RETRY_BASE_DELAY, which is "9s"`, "RETRY_BASE_DELAY", "9s")
	f("", "RETRY_BASE_DELAY", "0s", "RETRY_MAX_DELAY", "0s")
	f(`ADMIN_ADDR: ":1": must not be the same as LISTEN_ADDR`, "LISTEN_ADDR", ":1", "ADMIN_ADDR", ":1")
	f(`ADMIN_ADDR: "unix:/a": must not be the same as LISTEN_ADDR`, "LISTEN_ADDR", "unix:/a", "ADMIN_ADDR", "unix:/a")
	f("", "LISTEN_ADDR", "127.0.0.1:0", "ADMIN_ADDR", "127.0.0.1:0")
	f("", "GROUP_MAPPING", `{"b":"","a":"/a"}`, "DEFAULT_GROUP", "a")
	f(`DEFAULT_GROUP: "default": must be one of the groups of GROUP_MAPPING: a, b`, "GROUP_MAPPING", `{"b":"","a":"/a"}`)
	f(`DEFAULT_GROUP: "x": must be one of the groups of GROUP_MAPPING: default`, "DEFAULT_GROUP", "x")
	f(`DEFAULT_GROUP: "default": must be one of the groups of GROUP_MAPPING: a, b, c, d, e, f, g, h, i, j, ...`,
		"GROUP_MAPPING", `{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":"","j":"","k":""}`)
	// No mistakes that only follow from another.
	f(`RETRY_MAX_DELAY: "1": a duration needs a unit; write "1s"`, "RETRY_BASE_DELAY", "9s", "RETRY_MAX_DELAY", "1")
	f(`GROUP_MAPPING: "{}": must hold at least one group`, "GROUP_MAPPING", "{}", "DEFAULT_GROUP", "x")
}

func TestLoadConfigNamesTheFileOfALaterMistake(t *testing.T) {
	file := configFile(t, "\ndefault_group: x\n")
	_, err := LoadConfig(file, envOf())
	if want := file + `:2:1: default_group: "x": must be one of the groups of GROUP_MAPPING: default`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	// The environment mends what the file alone would get wrong.
	if _, err := LoadConfig(file, envOf("DEFAULT_GROUP", "default")); err != nil {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	f := func(want string, change func(c *Config)) {
		t.Helper()
		c := DefaultConfig()
		change(&c)
		if err := c.Validate(); err == nil || err.Error() != want {
			t.Errorf("Validate() = %v, want %s", err, want)
		}
	}
	f(`STALL_TIMEOUT: "0s": must be more than zero`, func(c *Config) { c.StallTimeout = 0 })
	f(`MAX_ATTEMPTS: "-1": must be a whole number from 1 to 10000`, func(c *Config) { c.MaxAttempts = -1 })
	f(`GROUP_MAPPING: "{}": must hold at least one group`, func(c *Config) { c.GroupMapping = nil })
	f(`DEFAULT_GROUP: "x": must be one of the groups of GROUP_MAPPING: default`, func(c *Config) { c.DefaultGroup = "x" })
	f("CONTINUE_PROMPT: \"\": must be a text in UTF-8 of 1 to 4096 bytes, and not blank\nLOG_FORMAT: \"\": must be text or json",
		func(c *Config) { c.ContinuePrompt, c.LogFormat = "", "" })
	if err := new(Config).Validate(); err == nil {
		t.Error("the zero Config passed")
	}
}
