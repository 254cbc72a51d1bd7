package proxy

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	list := Settings()
	fields := 0
	for field := range reflect.TypeFor[Config]().Fields() {
		// Sections of the file have no variable.
		switch {
		case field.Name == "Trace":
			fields += field.Type.NumField()
		case field.IsExported() && !slices.Contains(sectionNames, strings.ToLower(field.Name)):
			fields++
		}
	}
	if len(list) != fields {
		t.Errorf("%d settings for %d fields", len(list), fields)
	}
	seen := map[string]bool{}
	for _, s := range list {
		if s.Name == "" || s.Name != strings.ToUpper(s.Name) || seen[s.Name] || s.Meaning == "" {
			t.Errorf("%+v", s)
		}
		if strings.ContainsAny(s.Meaning, "|\n") || strings.HasSuffix(s.Meaning, ".") {
			t.Errorf("%s: the meaning %q is not a phrase that fits into a table", s.Name, s.Meaning)
		}
		seen[s.Name] = true
	}
}

func TestSettingErrors(t *testing.T) {
	const (
		duration = `must be a duration with a unit, such as "250ms", "90s" or "1h30m"`
		negative = `must be a duration such as "90s", and not negative`
		attempts = "must be a whole number from 1 to 10000"
		address  = "must be [host]:port, such as :8080, 127.0.0.1:8080 or [::1]:8080, or unix:/path"
		socket   = "a socket must be unix: and an absolute path of at most 107 bytes, such as unix:/run/proxy.sock"
		port     = "the port must be a number from 0 to 65535"
		host     = "the host must be a name or an IP address, or left out"
		groups   = `must be a JSON object of group name to path, such as {"default":"","team-a":"/team-a"}`
		allowed  = "; allowed are SAFETY, RECITATION, LANGUAGE, OTHER, MALFORMED_FUNCTION_CALL, MALFORMED_RESPONSE, UNEXPECTED_TOOL_CALL, FINISH_REASON_UNSPECIFIED, NO_IMAGE"
		final    = " is always final and never retried" + allowed
		natural  = " is a natural end and never retried" + allowed
		unknown  = " is not a finish reason that can be retried" + allowed
		prompt   = "must be a text in UTF-8 of 1 to 4096 bytes, and not blank"
		origins  = `must be "*", empty, or a comma-separated list of origins scheme://host[:port], with no path and no slash at the end`
	)
	f := func(name, value, want string) {
		t.Helper()
		_, err := LoadConfig("", envOf(name, value))
		if err == nil || err.Error() != name+": "+want {
			t.Errorf("%s=%q:\n got %v\nwant %s: %s", name, value, err, name, want)
		}
	}
	f("STALL_TIMEOUT", "90", `"90": a duration needs a unit; write "90s"`)
	f("STALL_TIMEOUT", "1.5", `"1.5": a duration needs a unit; write "1.5s"`)
	f("STALL_TIMEOUT", "0", `"0": a duration needs a unit; write "0s"`)
	f("STALL_TIMEOUT", "0s", `"0s": must be more than zero`)
	f("STALL_TIMEOUT", "-1s", `"-1s": `+negative)
	f("STALL_TIMEOUT", "-90", `"-90": `+negative)
	f("DRAIN_TIMEOUT", "-0s", `"-0s": `+negative)
	f("STALL_TIMEOUT", "", `"": `+duration)
	f("STALL_TIMEOUT", "soon", `"soon": `+duration)
	f("STALL_TIMEOUT", "90 s", `"90 s": `+duration)
	f("STALL_TIMEOUT", "90s\n", `"90s\n": `+duration)
	f("STALL_TIMEOUT", "NaN", `"NaN": `+duration)
	f("STALL_TIMEOUT", "1e3", `"1e3": `+duration)
	f("STALL_TIMEOUT", "1d", `"1d": `+duration)
	f("STALL_TIMEOUT", "9999999999h", `"9999999999h": `+duration)
	f("STALL_TIMEOUT", strings.Repeat("9", 50), `"`+strings.Repeat("9", 40)+`"...: `+duration)
	for _, s := range []string{"CONNECT_TIMEOUT", "FIRST_EVENT_TIMEOUT", "CLIENT_HEADER_TIMEOUT", "CLIENT_STALL_TIMEOUT", "TUNNEL_IDLE_TIMEOUT", "STREAM_DEADLINE"} {
		f(s, "0s", `"0s": must be more than zero`)
	}

	f("MAX_ATTEMPTS", "", `"": `+attempts)
	f("MAX_ATTEMPTS", "0", `"0": `+attempts)
	f("MAX_ATTEMPTS", "10001", `"10001": `+attempts)
	f("MAX_ATTEMPTS", "-1", `"-1": `+attempts)
	f("MAX_ATTEMPTS", "+1", `"+1": `+attempts)
	f("MAX_ATTEMPTS", "1e3", `"1e3": `+attempts)
	f("MAX_ATTEMPTS", "0x10", `"0x10": `+attempts)
	f("MAX_ATTEMPTS", "1_000", `"1_000": `+attempts)
	f("MAX_ATTEMPTS", "18446744073709551616", `"18446744073709551616": `+attempts)
	f("MAX_CONSECUTIVE_FAILURES", "1001", `"1001": must be a whole number from 0 to 1000`)
	f("MAX_HEADER_BYTES", "4095", `"4095": must be a whole number from 4096 to 1048576`)
	f("MAX_BODY_BYTES", "1GiB", `"1GiB": must be a whole number from 1024 to 1073741824`)
	f("MAX_TRANSCRIPT_BYTES", "1023", `"1023": must be a whole number from 1024 to 1073741824`)

	f("DEBUG_MODE", "", `"": must be true, false, 1 or 0`)
	f("DEBUG_MODE", "TRUE", `"TRUE": must be true, false, 1 or 0`)

	f("LISTEN_ADDR", "", `"": `+address)
	f("LISTEN_ADDR", "8080", `"8080": `+address)
	f("LISTEN_ADDR", "localhost", `"localhost": `+address)
	f("LISTEN_ADDR", "::1:8080", `"::1:8080": `+address)
	f("LISTEN_ADDR", ":", `":": `+port)
	f("LISTEN_ADDR", ":http", `":http": `+port)
	f("LISTEN_ADDR", ":65536", `":65536": `+port)
	f("LISTEN_ADDR", ":080", `":080": `+port)
	f("LISTEN_ADDR", "a b:1", `"a b:1": `+host)
	f("LISTEN_ADDR", "a/b:1", `"a/b:1": `+host)
	f("LISTEN_ADDR", "unix:", `"unix:": `+socket)
	f("LISTEN_ADDR", "unix:run/x", `"unix:run/x": `+socket)
	f("LISTEN_ADDR", "unix:/run/", `"unix:/run/": `+socket)
	f("LISTEN_ADDR", "unix:/a\x1b[2J", `"unix:/a\x1b[2J": `+socket)
	f("ADMIN_ADDR", "unix:/"+strings.Repeat("x", 107), `"unix:/`+strings.Repeat("x", 34)+`"...: `+socket)

	f("UPSTREAM_URL_BASE", "", `"": the URL must begin with http:// or https://`)
	f("UPSTREAM_URL_BASE", "ftp://x", `"ftp://x": the URL must begin with http:// or https://`)
	f("UPSTREAM_URL_BASE", "https://x:99999", `"https://x:99999": the port must be a number from 1 to 65535`)
	f("UPSTREAM_URL_BASE", "https://u:hunter2@x", `value not shown: the URL must not hold a user name or password`)
	f("UPSTREAM_URL_BASE", "u:hunter2@x", `value not shown: the URL must begin with http:// or https://`)
	f("UPSTREAM_URL_BASE", "https://x?key=AIza", `value not shown: the URL must not hold a query (?)`)

	f("GROUP_MAPPING", "", `"": `+groups)
	f("GROUP_MAPPING", "default", `"default": `+groups)
	f("GROUP_MAPPING", "null", `"null": `+groups)
	f("GROUP_MAPPING", `["a"]`, `"[\"a\"]": `+groups)
	f("GROUP_MAPPING", `{"a":"/a"`, `"{\"a\":\"/a\"": `+groups)
	f("GROUP_MAPPING", `{"a":"/a",}`, `"{\"a\":\"/a\",}": `+groups)
	f("GROUP_MAPPING", `{"a"}`, `"{\"a\"}": `+groups)
	f("GROUP_MAPPING", `{a:1}`, `"{a:1}": `+groups)
	f("GROUP_MAPPING", `{"a":"/a"} {}`, `"{\"a\":\"/a\"} {}": `+groups)
	f("GROUP_MAPPING", `{}`, `"{}": must hold at least one group`)
	f("GROUP_MAPPING", `{"a":null}`, `"{\"a\":null}": group "a": the path must be a string`)
	f("GROUP_MAPPING", `{"a":{"b":""}}`, `"{\"a\":{\"b\":\"\"}}": group "a": the path must be a string`)
	f("GROUP_MAPPING", `{"a":"","a":"/a"}`, `"{\"a\":\"\",\"a\":\"/a\"}": group "a" is given twice`)
	f("GROUP_MAPPING", `{"a":"a"}`, `"{\"a\":\"a\"}": group "a": the path must begin with "/"`)
	f("DEFAULT_GROUP", "", `"": must be one of the groups of GROUP_MAPPING`)

	f("RETRY_FINISH_REASONS", "STOP", `"STOP": "STOP"`+natural)
	f("RETRY_FINISH_REASONS", "MAX_TOKENS", `"MAX_TOKENS": "MAX_TOKENS"`+natural)
	f("RETRY_FINISH_REASONS", "CONTINUATION", `"CONTINUATION": "CONTINUATION"`+natural)
	f("RETRY_FINISH_REASONS", "SPII", `"SPII": "SPII"`+final)
	f("RETRY_FINISH_REASONS", "BLOCKLIST", `"BLOCKLIST": "BLOCKLIST"`+final)
	f("RETRY_FINISH_REASONS", "PROHIBITED_CONTENT", `"PROHIBITED_CONTENT": "PROHIBITED_CONTENT"`+final)
	f("RETRY_FINISH_REASONS", "SAFETY,IMAGE_SAFETY", `"SAFETY,IMAGE_SAFETY": "IMAGE_SAFETY"`+final)
	f("RETRY_FINISH_REASONS", "safety", `"safety": "safety"`+unknown)
	f("RETRY_FINISH_REASONS", "SAFETY,,OTHER", `"SAFETY,,OTHER": ""`+unknown)

	f("CONTINUE_PROMPT", "", `"": `+prompt)
	f("CONTINUE_PROMPT", " \n", `" \n": `+prompt)
	f("CONTINUE_PROMPT", "\xff", `"\xff": `+prompt)
	f("CONTINUE_PROMPT", strings.Repeat("\u00e9", 2049), `"`+strings.Repeat("\u00e9", 40)+`"...: `+prompt)

	for _, s := range []string{" ", "x", "*,https://a", "https://a/", "https://a/b", "https://", "https://a,", "https://*.a", "https://a:", "https://a:0", "https://a:x", "null", "https://a b", "//a", "https://a%41"} {
		f("CORS_ALLOW_ORIGIN", s, settingValue(s)+": "+origins)
	}
	f("CORS_ALLOW_ORIGIN", "https://u:hunter2@a", "value not shown: "+origins)
	f("LOG_FORMAT", "JSON", `"JSON": must be text or json`)
	f("LOG_FORMAT", "", `"": must be text or json`)
}

func TestSettingValues(t *testing.T) {
	f := func(name, value, want string) {
		t.Helper()
		c, err := LoadConfig("", envOf(name, value))
		if err != nil {
			t.Errorf("%s=%q: %v", name, value, err)
			return
		}
		if got := settingByKey(strings.ToLower(name)).format(&c); got != want {
			t.Errorf("%s=%q gives %q, want %q", name, value, got, want)
		}
	}
	f("DRAIN_TIMEOUT", "0s", "0s")
	f("RETRY_AFTER_MAX", "0ms", "0s")
	f("STALL_TIMEOUT", "+1m30s", "1m30s")
	f("MAX_ATTEMPTS", "010", "10")
	f("MAX_CONSECUTIVE_FAILURES", "0", "0")
	f("MAX_HEADER_BYTES", "1048576", "1048576")
	f("MAX_BODY_BYTES", "1073741824", "1073741824")
	f("DEBUG_MODE", "1", "true")
	f("DEBUG_MODE", "0", "false")
	for _, s := range []string{":0", "localhost:8080", "0.0.0.0:65535", "[::]:80", "[fe80::1%eth0]:80", "unix:/run/x.sock"} {
		f("LISTEN_ADDR", s, s)
	}
	f("ADMIN_ADDR", "", "")
	f("UPSTREAM_URL_BASE", "http://localhost:1/a/", "http://localhost:1/a/")
	f("GROUP_MAPPING", ` { "default" : "" , "b" : "/b&<>" } `, `{"b":"/b&<>","default":""}`)
	f("RETRY_FINISH_REASONS", "", "")
	f("RETRY_FINISH_REASONS", " ", "")
	f("RETRY_FINISH_REASONS", " OTHER , SAFETY,OTHER ", "OTHER,SAFETY")
	f("CONTINUE_PROMPT", strings.Repeat("x", 4096), strings.Repeat("x", 4096))
	f("CORS_ALLOW_ORIGIN", "", "")
	f("CORS_ALLOW_ORIGIN", "https://A.example:8443 ,http://[::1]:80,https://b:443,http://c:443,chrome-extension://abc", "https://a.example:8443,http://[::1],https://b,http://c:443,chrome-extension://abc")
}

func TestConfigFileErrors(t *testing.T) {
	const alias = `anchors, aliases and tags are not supported; put a value that begins with "*", "&" or "!" in quotes`
	f := func(text, want string) {
		t.Helper()
		file := configFile(t, text)
		_, err := LoadConfig(file, envOf())
		if err == nil {
			t.Errorf("%q: no error", text)
			return
		}
		if got := strings.ReplaceAll(err.Error(), file, "F"); got != want {
			t.Errorf("%q:\n got %s\nwant %s", text, got, want)
		}
	}
	// Names.
	f("stall_timeot: 1s", `F:1:1: "stall_timeot" is not a setting; did you mean stall_timeout?`)
	f("\nSTALL_TIMEOUT: 1s", `F:2:1: "STALL_TIMEOUT" is not a setting; did you mean stall_timeout?`)
	f("stall-timeout: 1s", `F:1:1: "stall-timeout" is not a setting; did you mean stall_timeout?`)
	f("max_attempt: 1", `F:1:1: "max_attempt" is not a setting; did you mean max_attempts?`)
	f("nothing_like_it_at_all: 1", `F:1:1: "nothing_like_it_at_all" is not a setting`)
	f(`"\e[2J": 1`, `F:1:1: "\x1b[2J" is not a setting`)
	f(strings.Repeat("x", 70)+": 1", `F:1:1: "`+strings.Repeat("x", 40)+`"... is not a setting`)
	f("debug_mode: true\n\ndebug_mode: false\ndebug_mode: 1", "F:3:1: debug_mode: given twice; the first is in line 1\nF:4:1: debug_mode: given twice; the first is in line 1")
	f("1: x", `F:1:1: "1" is not a setting`)
	f("true: x", "F:1:1: the name of a setting must be plain text")
	f("<<: {}", "F:1:1: the name of a setting must be plain text")
	f("? listen_addr\n: x", "F:1:1: the name of a setting must be plain text")
	// Kinds of values.
	f("listen_addr: [1]", "F:1:1: listen_addr: must be a single value, not a list")
	f("listen_addr:\n  a: b", "F:1:1: listen_addr: must be a single value, not a mapping")
	for _, nothing := range []string{"", "\n", " \r\n\t\n", "\ufeff", "\ufeff\n"} {
		f(nothing, "F: is empty; a file without settings holds {} or a comment")
	}
	f("listen_addr:", `F:1:1: listen_addr: has no value; write "" for the empty one`)
	f("listen_addr: ~", `F:1:1: listen_addr: has no value; write "" for the empty one`)
	f("listen_addr: true", `F:1:1: listen_addr: "true": must be [host]:port, such as :8080, 127.0.0.1:8080 or [::1]:8080, or unix:/path`)
	f("max_attempts: .inf", `F:1:1: max_attempts: ".inf": must be a whole number from 1 to 10000`)
	f("max_attempts: .nan", `F:1:1: max_attempts: ".nan": must be a whole number from 1 to 10000`)
	f("max_attempts: 1.0", `F:1:1: max_attempts: "1.0": must be a whole number from 1 to 10000`)
	f("debug_mode: on", `F:1:1: debug_mode: "on": must be true, false, 1 or 0`)
	f("group_mapping:", `F:1:1: group_mapping: has no value; write "" for the empty one`)
	f("group_mapping: {}", `F:1:1: group_mapping: "{}": must hold at least one group`)
	f("group_mapping: [a]", "F:1:1: group_mapping: must be a single value, not a list")
	f("group_mapping:\n  default: ''\n  a:", `F:1:1: group_mapping: line 3: group "a": has no value; write "" for the empty one`)
	f("group_mapping:\n  a: ''\n  a: ''", `F:1:1: group_mapping: line 3: group "a" is given twice`)
	f("group_mapping:\n  true: ''", `F:1:1: group_mapping: line 2: the name of a group must be plain text`)
	f("group_mapping:\n  a: [b]", `F:1:1: group_mapping: line 2: group "a": must be a single value, not a list`)
	f("retry_finish_reasons: {a: b}", "F:1:1: retry_finish_reasons: must be a single value, not a mapping")
	f("retry_finish_reasons: [SAFETY, [OTHER]]", "F:1:1: retry_finish_reasons: item 2: must be a single value, not a list")
	// What YAML can do and a file of settings has no use for.
	f("cors_allow_origin: *", "F:1:20: "+alias)
	f("listen_addr: &a :90\nadmin_addr: *a", "F:1:1: listen_addr: "+alias+"\nF:2:1: admin_addr: "+alias)
	f("listen_addr: !!str :90", "F:1:1: listen_addr: "+alias)
	f("listen_addr: :1\n---\nlisten_addr: :2", "F:2:1: the file must hold one document; this is the beginning of another one")
	f("- a", "F:1:1: the file must be a mapping of setting names to values")
	f("hello", "F:1:1: the file must be a mapping of setting names to values")
	const deep = "the file is nested too deeply: at most 20 brackets, and 200 columns"
	f(strings.Repeat("[", 5000), "F:1:21: "+deep)
	f("a: "+strings.Repeat("{a: ", 21), "F:1:84: "+deep)
	f(strings.Repeat("- ", 500), "F:1:201: "+deep)
	f(strings.Repeat("? ", 500), "F:1:201: "+deep)
	f(strings.Repeat(" ", 300)+"a:\n", "F:1:302: "+deep)
	f(strings.Repeat("a", 501)+": b", "F:1:1: a name is longer than 500 bytes")
	f("["+strings.Repeat("a,", maxConfigTokens/2)+"]", "F: the file holds more than 65536 values and signs")
	// No YAML at all. One line, with line and column, and nothing of the file.
	f("a: b: c", "F:1:4: mapping value is not allowed in this context")
	f("debug_mode: true\nlisten_addr: \"x", "F:2:14: could not find end character of double-quoted text")
	f("x:\n\t- y", `F:2:1: found character '\t' that cannot start any token`)
	f("a: [", "F:1:4: sequence end token ']' not found")
}

func TestConfigFileForms(t *testing.T) {
	f := func(text, name, want string) {
		t.Helper()
		c, err := LoadConfig(configFile(t, text), envOf())
		if err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		if got := settingByKey(name).format(&c); got != want {
			t.Errorf("%q gives %q, want %q", text, got, want)
		}
	}
	for _, empty := range []string{"# nothing\n", "---\n", "{}\n", "\ufeff{}"} {
		f(empty, "max_attempts", "30")
	}
	f("---\nmax_attempts: 3\n...\n", "max_attempts", "3")
	f("\ufeffmax_attempts: 3", "max_attempts", "3")
	f("debug_mode: 1\r\nmax_attempts: 3\r\n", "max_attempts", "3")
	f("{debug_mode: true, max_attempts: '3'}", "max_attempts", "3")
	f("max_attempts: 3 # three", "max_attempts", "3")
	f("listen_addr: :9000", "listen_addr", ":9000")
	f("cors_allow_origin: '*'", "cors_allow_origin", "*")
	f(`cors_allow_origin: ""`, "cors_allow_origin", "")
	f(`group_mapping: '{"default":"/d"}'`, "group_mapping", `{"default":"/d"}`)
	f("group_mapping: {default: /d}", "group_mapping", `{"default":"/d"}`)
	f("group_mapping:\n  # one\n  default: /d # two\n", "group_mapping", `{"default":"/d"}`)
	f("retry_finish_reasons: SAFETY, OTHER", "retry_finish_reasons", "SAFETY,OTHER")
	f("retry_finish_reasons: [SAFETY, OTHER]", "retry_finish_reasons", "SAFETY,OTHER")
	f("retry_finish_reasons: []", "retry_finish_reasons", "")
	f("continue_prompt: >-\n  Go on,\n  please.\n", "continue_prompt", "Go on, please.")
}

func FuzzConfigFile(f *testing.F) {
	for _, s := range []string{
		"", "stall_timeout: 90s\n", "group_mapping:\n  default: ''\n  a: /a\n", "retry_finish_reasons: [SAFETY]\n",
		"a: &x b\nc: *x\n<<: *x\n", "---\n...\n---\n", "listen_addr: |\n  x\n", "? a\n: b\n", "{a: [", "!!map {}",
		"groups:\n  a: {targets: [http://x, {url: http://y, weight: 2}], keys: env:K, fallback: b}\n  b: {keys: env:K}\nlisten_addr: 127.0.0.1:1",
		"clients: [{name: a, token: env:K, groups: [a], models: x}]", "%YAML 1.2\n---\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > maxConfigFile {
			return
		}
		l := loader{config: DefaultConfig(), origin: map[string]string{}, bad: map[string]bool{}}
		l.loadYAML("F", data)
		l.loadSections(envOf("K", "AIzaCANARY"))
		l.checkTogether()
		if len(l.errs) == 0 {
			if err := l.config.Validate(); err != nil {
				t.Fatalf("a file without mistakes gives a config with: %v", err)
			}
			return
		}
		for _, err := range l.errs {
			if text := err.Error(); strings.Contains(text, "CANARY") && !bytes.Contains(data, []byte("CANARY")) || strings.ContainsAny(text, "\n\r\x1b\x00") {
				t.Fatalf("the mistake %q is not one line of text", text)
			}
		}
	})
}
