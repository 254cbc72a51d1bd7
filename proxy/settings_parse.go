package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gemini-resilient-proxy/routing"
)

const (
	maxPromptBytes = 4096
	// maxSocketPath is what fits into a Unix socket address, less its end.
	maxSocketPath = 107
)

// The finish reasons that may be treated as interruptions. All others end an
// answer, whether it is complete or not.
var retryableFinishReasons = []string{
	"SAFETY", "RECITATION", "LANGUAGE", "OTHER", "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE",
	"UNEXPECTED_TOOL_CALL", "FINISH_REASON_UNSPECIFIED", "NO_IMAGE",
}

// notShown stands for a value that may hold a password.
const notShown = "value not shown"

// settingValue quotes a value for a mistake: at most 40 characters, and nothing
// that could move a terminal's cursor. What may hold a password is not shown.
func settingValue(s string) string {
	if strings.Contains(s, "@") || strings.Contains(s, "://") && strings.ContainsAny(s, "?#") {
		return notShown
	}
	const limit = 40
	n := 0
	for i := range s {
		if n++; n > limit {
			return strconv.Quote(s[:i]) + "..."
		}
	}
	return strconv.Quote(s)
}

func durationCodec(field func(*Config) *time.Duration, zero bool) codec {
	return codec{
		parse: func(c *Config, text string) error {
			d, err := parseDuration(text, zero)
			if err == nil {
				*field(c) = d
			}
			return err
		},
		format: func(c *Config) string { return field(c).String() },
		kind:   patternSchema(`^([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+$`),
	}
}

func parseDuration(text string, zero bool) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	bare := text != "" && len(text) < 20 && strings.Trim(text, "0123456789.") == ""
	switch {
	case strings.HasPrefix(text, "-"):
		return 0, errors.New(`must be a duration such as "90s", and not negative`)
	case bare:
		return 0, fmt.Errorf("a duration needs a unit; write %q", text+"s")
	case err != nil:
		return 0, errors.New(`must be a duration with a unit, such as "250ms", "90s" or "1h30m"`)
	case d == 0 && !zero:
		return 0, errors.New("must be more than zero")
	}
	return d, nil
}

func intCodec(field func(*Config) *int, low, high int) codec {
	return codec{
		parse: func(c *Config, text string) error {
			n, err := strconv.ParseUint(text, 10, 31)
			if err != nil || int(n) < low || int(n) > high {
				return fmt.Errorf("must be a whole number from %d to %d", low, high)
			}
			*field(c) = int(n)
			return nil
		},
		format: func(c *Config) string { return strconv.Itoa(*field(c)) },
		kind:   numberSchema(low, high),
	}
}

func boolCodec(field func(*Config) *bool) codec {
	return codec{
		parse: func(c *Config, text string) error {
			switch text {
			case "true", "1":
				*field(c) = true
			case "false", "0":
				*field(c) = false
			default:
				return errors.New("must be true, false, 1 or 0")
			}
			return nil
		},
		format: func(c *Config) string { return strconv.FormatBool(*field(c)) },
		kind:   schema{"enum": []any{true, false, 0, 1}},
	}
}

func addressCodec(field func(*Config) *string, empty bool) codec {
	return codec{
		parse: func(c *Config, text string) error {
			if text != "" || !empty {
				if err := checkAddress(text); err != nil {
					return err
				}
			}
			*field(c) = text
			return nil
		},
		format: func(c *Config) string { return *field(c) },
	}
}

func checkAddress(text string) error {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || len(path) > maxSocketPath ||
			strings.ContainsFunc(path, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return fmt.Errorf("a socket must be unix: and an absolute path of at most %d bytes, such as unix:/run/proxy.sock", maxSocketPath)
		}
		return nil
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return errors.New("must be [host]:port, such as :8080, 127.0.0.1:8080 or [::1]:8080, or unix:/path")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || port != strconv.FormatUint(n, 10) {
		return errors.New("the port must be a number from 0 to 65535")
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return nil
	}
	if !isHostText(host, ".-_") {
		return errors.New("the host must be a name or an IP address, or left out")
	}
	return nil
}

// isHostText reports whether s holds nothing but ASCII letters, digits and the
// given punctuation.
func isHostText(s, punctuation string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(punctuation, r))
	})
}

var baseCodec = codec{
	parse: func(c *Config, text string) error {
		_, err := routing.ParseBase(text)
		if err == nil {
			c.UpstreamURLBase = text
		}
		return err
	},
	format: func(c *Config) string { return c.UpstreamURLBase },
}

var groupsCodec = codec{
	parse: func(c *Config, text string) error {
		groups, err := parseGroups(text)
		if err != nil {
			return err
		}
		// Any group will do as the default: which one it is, is not a
		// question to this setting.
		def := ""
		for def = range groups {
			break
		}
		if _, err := routing.NewTable(groups, def); err != nil {
			return err
		}
		c.GroupMapping = groups
		return nil
	},
	format: func(c *Config) string { return formatGroups(c.GroupMapping) },
}

func formatGroups(groups map[string]string) string {
	if groups == nil {
		groups = map[string]string{}
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(groups); err != nil {
		panic("BUG: a map of strings does not encode: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// parseGroups parses a JSON object of strings. It is stricter than Unmarshal,
// which takes the last of two members with the same name and null for "".
func parseGroups(text string) (map[string]string, error) {
	shape := errors.New(`must be a JSON object of group name to path, such as {"default":"","team-a":"/team-a"}`)
	decoder := json.NewDecoder(strings.NewReader(text))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') {
		return nil, shape
	}
	groups := map[string]string{}
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, shape
		}
		name, ok := token.(string)
		if !ok {
			return nil, shape
		}
		if token, err = decoder.Token(); err != nil {
			return nil, shape
		}
		path, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("group %s: the path must be a string", settingValue(name))
		}
		if _, twice := groups[name]; twice {
			return nil, fmt.Errorf("group %s is given twice", settingValue(name))
		}
		groups[name] = path
	}
	if _, err := decoder.Token(); err != nil {
		return nil, shape
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, shape
	}
	if len(groups) == 0 {
		return nil, errors.New("must hold at least one group")
	}
	return groups, nil
}

var groupNameCodec = codec{
	parse: func(c *Config, text string) error {
		if text == "" {
			return errors.New("must be one of the groups of GROUP_MAPPING")
		}
		c.DefaultGroup = text
		return nil
	},
	format: func(c *Config) string { return c.DefaultGroup },
}

var finishReasonsCodec = codec{
	parse: func(c *Config, text string) error {
		var reasons []string
		var errs []error
		for reason := range strings.SplitSeq(text, ",") {
			reason = strings.TrimSpace(reason)
			if err := checkFinishReason(reason); err != nil {
				errs = append(errs, err)
			} else if !slices.Contains(reasons, reason) {
				reasons = append(reasons, reason)
			}
		}
		if strings.TrimSpace(text) == "" {
			errs = nil
		}
		if err := errors.Join(errs...); err != nil {
			return err
		}
		c.RetryFinishReasons = reasons
		return nil
	},
	format: func(c *Config) string { return strings.Join(c.RetryFinishReasons, ",") },
}

func checkFinishReason(reason string) error {
	if slices.Contains(retryableFinishReasons, reason) {
		return nil
	}
	why := "is not a finish reason that can be retried"
	switch {
	case reason == "PROHIBITED_CONTENT" || reason == "BLOCKLIST" || reason == "SPII" || strings.HasPrefix(reason, "IMAGE_"):
		why = "is always final and never retried"
	case reason == "STOP" || reason == "MAX_TOKENS" || reason == "CONTINUATION":
		why = "is a natural end and never retried"
	}
	return fmt.Errorf("%s %s; allowed are %s", settingValue(reason), why, strings.Join(retryableFinishReasons, ", "))
}

var promptCodec = codec{
	parse: func(c *Config, text string) error {
		if strings.TrimSpace(text) == "" || len(text) > maxPromptBytes || !utf8.ValidString(text) {
			return fmt.Errorf("must be a text in UTF-8 of 1 to %d bytes, and not blank", maxPromptBytes)
		}
		c.ContinuePrompt = text
		return nil
	},
	format: func(c *Config) string { return c.ContinuePrompt },
}

// asBrowsersSend returns an origin in small letters and without the port that its
// scheme has anyway (https://html.spec.whatwg.org/#ascii-serialisation-of-an-origin).
func asBrowsersSend(origin string) string {
	origin = strings.ToLower(origin)
	for scheme, port := range map[string]string{"http://": ":80", "https://": ":443"} {
		if strings.HasPrefix(origin, scheme) {
			return strings.TrimSuffix(origin, port)
		}
	}
	return origin
}

var originsCodec = codec{
	parse: func(c *Config, text string) error {
		if text == "" || text == "*" {
			c.CORSAllowOrigin = text
			return nil
		}
		var origins []string
		for origin := range strings.SplitSeq(text, ",") {
			origin = asBrowsersSend(strings.TrimSpace(origin))
			if !validOrigin(origin) {
				return errors.New(`must be "*", empty, or a comma-separated list of origins scheme://host[:port], with no path and no slash at the end`)
			}
			origins = append(origins, origin)
		}
		c.CORSAllowOrigin = strings.Join(origins, ",")
		return nil
	},
	format: func(c *Config) string { return c.CORSAllowOrigin },
}

func validOrigin(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Hostname() == "" || origin != u.Scheme+"://"+u.Host || !isHostText(u.Host, ".-_:[]") {
		return false
	}
	if strings.HasSuffix(u.Host, ":") {
		return false
	}
	port := u.Port()
	if port == "" {
		return true
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// choiceCodec takes one of the given words.
func choiceCodec(field func(*Config) *string, words ...string) codec {
	return codec{
		parse: func(c *Config, text string) error {
			if !slices.Contains(words, text) {
				return errors.New("must be " + strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1])
			}
			*field(c) = text
			return nil
		},
		format: func(c *Config) string { return *field(c) },
		kind:   wordSchema(words...),
	}
}
