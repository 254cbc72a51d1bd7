package proxy

import (
	"errors"
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"gemini-resilient-proxy/routing"
)

const defaultServiceName = "gemini-resilient-proxy"

// TraceConfig says whether and where traces go. Its settings have the names and
// the meanings that OpenTelemetry gives them,
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
type TraceConfig struct {
	// Endpoint is the URL of a collector, TracesEndpoint that of its traces
	// alone. Without any of them there are no traces.
	Endpoint, TracesEndpoint string
	// Protocol is "http/protobuf".
	Protocol string
	// Headers are sent to the collector: name=value, joined by commas.
	Headers routing.Secret
	// Exporter is "otlp", or "none" for no traces.
	Exporter string
	// Sampler names who decides which requests are traced, SamplerArg is the
	// share of requests for those that take one.
	Sampler    string
	SamplerArg float64
	// ServiceName and ResourceAttributes tell who sends the traces.
	ServiceName, ResourceAttributes string
	// Disabled is true for no traces.
	Disabled bool
}

// url returns where traces are sent, "" when they are not.
func (c *TraceConfig) url() string {
	switch {
	case c.Disabled || c.Exporter == "none":
		return ""
	case c.TracesEndpoint != "":
		return c.TracesEndpoint
	case c.Endpoint != "":
		base, query, _ := strings.Cut(c.Endpoint, "?")
		base = strings.TrimRight(base, "/") + "/v1/traces"
		if query != "" {
			base += "?" + query
		}
		return base
	}
	return ""
}

// otelCodec is a codec for a text of OpenTelemetry's: an empty one is as good
// as none, so it stands for the default.
func otelCodec(def string, field func(*TraceConfig) *string, check func(text string) error) codec {
	return codec{
		parse: func(c *Config, text string) error {
			if text == "" {
				text = def
			}
			if err := check(text); err != nil {
				return err
			}
			*field(&c.Trace) = text
			return nil
		},
		format: func(c *Config) string { return *field(&c.Trace) },
	}
}

// otelChoiceCodec is otelCodec for one of some texts; the first is the default.
func otelChoiceCodec(field func(*TraceConfig) *string, allowed ...string) codec {
	c := otelCodec(allowed[0], field, func(text string) error {
		for _, a := range allowed {
			if text == a {
				return nil
			}
		}
		if len(allowed) == 1 {
			return errors.New("must be " + allowed[0])
		}
		return errors.New("must be one of " + strings.Join(allowed, ", "))
	})
	choices := []any{""}
	for _, a := range allowed {
		choices = append(choices, a)
	}
	c.kind = schema{"enum": choices}
	return c
}

func checkCollector(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Host == "", u.Fragment != "":
		return errors.New("must be an http or https URL such as http://localhost:4318")
	case u.User != nil:
		return errors.New("must not hold a user or a password; headers can be set with OTEL_EXPORTER_OTLP_HEADERS")
	}
	return nil
}

// headersCodec never says what a value is.
var headersCodec = codec{
	parse: func(c *Config, text string) error {
		if _, err := parseOTLPHeaders(text); err != nil {
			return err
		}
		c.Trace.Headers = nil
		if text != "" {
			c.Trace.Headers = routing.Secret(text)
		}
		return nil
	},
	format: func(c *Config) string { return string([]byte(c.Trace.Headers)) },
}

// pairs calls take for each key=value of a list in the form of W3C's baggage,
// with the value's percent-encoding taken off.
func pairs(text string, take func(key, value string) bool) error {
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		key = strings.TrimSpace(key)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || key == "" || err != nil || !utf8.ValidString(value) || !take(key, value) {
			return errors.New("must be a list of name=value, joined by commas, with the values percent-encoded")
		}
	}
	return nil
}

// parseOTLPHeaders returns the header fields that a list stands for.
func parseOTLPHeaders(text string) (all [][2]string, err error) {
	err = pairs(text, func(name, value string) bool {
		for _, c := range []byte(name) {
			if !isToken[c] {
				return false
			}
		}
		for _, c := range []byte(value) {
			if c < ' ' || c == 0x7f {
				return false
			}
		}
		all = append(all, [2]string{name, value})
		return true
	})
	return all, err
}

func checkResource(text string) error {
	return pairs(text, func(string, string) bool { return true })
}

func checkServiceName(text string) error {
	if len(text) > 255 || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return errors.New("must be a name of at most 255 bytes")
	}
	return nil
}

var samplerArgCodec = codec{
	parse: func(c *Config, text string) error {
		if text == "" {
			text = "1"
		}
		share, err := strconv.ParseFloat(text, 64)
		if err != nil || !(share >= 0 && share <= 1) {
			return errors.New("must be a number from 0 to 1")
		}
		c.Trace.SamplerArg = share
		return nil
	},
	format: func(c *Config) string { return strconv.FormatFloat(c.Trace.SamplerArg, 'g', -1, 64) },
	kind:   schema{"anyOf": []any{schema{"type": "number", "minimum": 0, "maximum": 1}, schema{"type": "string", "pattern": `^[0-9.eE+-]*$`}}},
}

// sampler decides which requests are traced.
type sampler struct {
	asksParent bool   // what the client's traceparent says is done
	bound      uint64 // else those whose identity is below it are traced
}

func newSampler(c *TraceConfig) (s sampler) {
	name, ok := strings.CutPrefix(c.Sampler, "parentbased_")
	s.asksParent = ok
	switch name {
	case "always_on":
		s.bound = 1 << 63
	case "traceidratio":
		// As the SDK has it, so that all who see a trace decide alike.
		s.bound = uint64(math.Ldexp(c.SamplerArg, 63))
	}
	return s
}
