package stream

import (
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fastjson"
)

// Failure is an error of the API (https://google.aip.dev/193): the object
// under "error" of an error body or of an error in a stream.
type Failure struct {
	Code    int    // HTTP status code, from status when the body named none
	Status  string // google.rpc.Code name
	Message string
	// Delay is the google.rpc.RetryInfo retryDelay; HasDelay tells whether
	// there was one.
	Delay    time.Duration
	HasDelay bool
	// Reason is the google.rpc.ErrorInfo reason, such as API_KEY_INVALID.
	Reason string
	// Spent tells that a google.rpc.QuotaFailure, or the metadata of an
	// ErrorInfo, is about a quota per day, or one of 0: waiting for a while
	// brings nothing.
	Spent bool
	// Elsewhere tells that the caller may not use what the request names: a
	// file, a cached content or a model that belongs to somebody else, or is not
	// there. It says nothing against the caller's key.
	Elsewhere bool
}

// InvalidKey tells whether the API says that there is no such key as the one that
// was sent, or not any more. The OpenAI-compatible surface says so in words alone.
func (f *Failure) InvalidKey() bool {
	if f.Reason == "API_KEY_INVALID" {
		return true
	}
	if f.Code != 400 {
		return false
	}
	for _, words := range [...]string{"API key not valid", "API key expired", "pass a valid API key"} {
		if strings.Contains(f.Message, words) {
			return true
		}
	}
	return false
}

// codes are the HTTP status codes of google.rpc.Code names
// (https://cloud.google.com/apis/design/errors#handling_errors).
var codes = map[string]int{
	"CANCELLED": 499, "UNKNOWN": 500, "INVALID_ARGUMENT": 400, "DEADLINE_EXCEEDED": 504,
	"NOT_FOUND": 404, "ALREADY_EXISTS": 409, "PERMISSION_DENIED": 403, "UNAUTHENTICATED": 401,
	"RESOURCE_EXHAUSTED": 429, "FAILED_PRECONDITION": 400, "ABORTED": 409, "OUT_OF_RANGE": 400,
	"UNIMPLEMENTED": 501, "INTERNAL": 500, "UNAVAILABLE": 503, "DATA_LOSS": 500,
}

// openAICodes are the HTTP status codes of the types and codes of OpenAI's
// errors (https://platform.openai.com/docs/guides/error-codes).
var openAICodes = map[string]int{
	"invalid_request_error": 400, "authentication_error": 401, "invalid_api_key": 401, "permission_error": 403,
	"not_found_error": 404, "model_not_found": 404, "context_length_exceeded": 400, "insufficient_quota": 429,
	"rate_limit_exceeded": 429, "rate_limit_error": 429, "server_error": 500, "api_error": 500,
	"overloaded_error": 503, "service_unavailable": 503, "timeout": 504,
}

var failureParsers fastjson.ParserPool

// ParseFailure reads an error body, alone or as the only element of an array.
// ok is false when body is no such thing; the result owns its memory.
func ParseFailure(body []byte) (f Failure, ok bool) {
	p := failureParsers.Get()
	defer failureParsers.Put(p)
	v, err := p.ParseBytes(body)
	if err != nil {
		return Failure{}, false
	}
	if list, err := v.Array(); err == nil && len(list) == 1 {
		v = list[0]
	}
	e := v.Get("error")
	if e == nil || e.Type() == fastjson.TypeNull {
		return Failure{}, false
	}
	f.Status = string(e.GetStringBytes("status"))
	f.Message = string(e.GetStringBytes("message"))
	f.Code = failureCode(e.Get("code"), f.Status, string(e.GetStringBytes("type")))
	for _, d := range e.GetArray("details") {
		kind := string(d.GetStringBytes("@type"))
		switch kind[strings.LastIndexByte(kind, '/')+1:] {
		case "google.rpc.RetryInfo":
			f.Delay, f.HasDelay = retryDelay(d.Get("retryDelay"))
		case "google.rpc.ErrorInfo":
			f.Reason = string(d.GetStringBytes("reason"))
			f.Spent = f.Spent || spentLimit(d.Get("metadata"))
		case "google.rpc.QuotaFailure":
			f.Spent = f.Spent || spent(d.GetArray("violations"), f.Message)
		}
	}
	f.Elsewhere = f.Code == 403 && namesResource(f.Message)
	return f, true
}

// namesResource tells whether a refusal is about something that the request
// names, by the words that the API and Vertex AI have for it: "You do not have
// permission to access the File abc or it may not exist", "CachedContent not
// found (or permission denied)", "Permission 'x' denied on resource 'y' (or it
// may not exist)".
func namesResource(message string) bool {
	return strings.Contains(message, "or it may not exist") || strings.Contains(message, "(or permission denied)")
}

// spent tells whether one of a QuotaFailure's violations is about a quota per
// day or one of 0. A value of 0 may be left out, as in all JSON of Protocol
// Buffers; the message then says "limit: 0".
func spent(violations []*fastjson.Value, message string) bool {
	for _, v := range violations {
		if perDay(v.GetStringBytes("quotaId")) || perDay(v.GetStringBytes("quotaMetric")) {
			return true
		}
		if value := v.Get("quotaValue"); value != nil {
			if strings.Trim(value.String(), `"`) == "0" {
				return true
			}
		} else if saysNoLimit(message) {
			return true
		}
	}
	return false
}

// spentLimit tells the same of the metadata that an ErrorInfo of
// RATE_LIMIT_EXCEEDED has (https://cloud.google.com/apis/design/errors): the name
// of the limit, its value and its unit, "1/d/{project}" for one per day.
func spentLimit(metadata *fastjson.Value) bool {
	return perDay(metadata.GetStringBytes("quota_limit")) ||
		string(metadata.GetStringBytes("quota_limit_value")) == "0" ||
		strings.HasPrefix(string(metadata.GetStringBytes("quota_unit")), "1/d")
}

// perDay tells whether the name of a quota says that it is one per day, however
// it is written: GenerateRequestsPerDayPerProjectPerModel-FreeTier,
// requests_per_day.
func perDay(name []byte) bool {
	const words = "perday"
	at := 0
	for _, c := range name {
		if c |= 0x20; c < 'a' || c > 'z' {
			continue
		}
		switch {
		case c == words[at]:
			if at++; at == len(words) {
				return true
			}
		case c == words[0]:
			at = 1
		default:
			at = 0
		}
	}
	return false
}

// saysNoLimit tells whether a message has "limit: 0", and not "limit: 05" or
// "limit: 0.5".
func saysNoLimit(message string) bool {
	for rest := message; ; {
		var ok bool
		if _, rest, ok = strings.Cut(rest, "limit: 0"); !ok {
			return false
		}
		if next := strings.TrimLeft(rest, "."); next == "" || next[0] < '0' || next[0] > '9' {
			return true
		}
	}
}

func failureCode(v *fastjson.Value, status, kind string) int {
	if v != nil {
		if n, err := v.Int(); err == nil && n >= 400 && n <= 599 {
			return n
		}
		if s, err := v.StringBytes(); err == nil {
			if n, err := strconv.Atoi(string(s)); err == nil && n >= 400 && n <= 599 {
				return n
			}
			if n, ok := openAICodes[string(s)]; ok {
				return n
			}
		}
	}
	if n, ok := codes[status]; ok {
		return n
	}
	if n, ok := openAICodes[kind]; ok {
		return n
	}
	return 500
}

// retryDelay reads a google.protobuf.Duration in its JSON form, "1.5s", or as
// the object with seconds and nanos that some gateways write.
func retryDelay(v *fastjson.Value) (time.Duration, bool) {
	if v == nil {
		return 0, false
	}
	s, ok := delaySeconds(v)
	if !ok || !(s >= 0) {
		return 0, false
	}
	const most = 1 << 30 // seconds; anything above is "much too long" all the same
	return time.Duration(min(s, most) * float64(time.Second)), true
}

func delaySeconds(v *fastjson.Value) (s float64, ok bool) {
	if v.Type() != fastjson.TypeObject {
		num, isSeconds := strings.CutSuffix(string(v.GetStringBytes()), "s")
		s, err := strconv.ParseFloat(num, 64)
		return s, isSeconds && err == nil
	}
	nanos, seconds := v.GetFloat64("nanos")/1e9, v.Get("seconds")
	if seconds == nil {
		return nanos, v.Exists("nanos")
	}
	// The JSON mapping of 64-bit numbers is a string of digits.
	s, err := strconv.ParseFloat(strings.Trim(seconds.String(), `"`), 64)
	return s + nanos, err == nil
}

// AppendFailure appends an error body in the API's form, on one line. "error"
// comes first and code is a number, since clients look for just that.
func AppendFailure(dst []byte, code int, status, message string) []byte {
	dst = append(dst, `{"error": {"code": `...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"message": `...)
	dst = AppendJSONString(dst, []byte(message))
	dst = append(dst, `,"status": `...)
	dst = AppendJSONString(dst, []byte(status))
	return append(dst, "}}"...)
}

// AppendToldFailure appends payload, an error object that came in a stream, with
// all that it says besides what a Failure holds, on one line and spaced as
// AppendFailure does: often the API prints it over many. ok is false when clients
// would not know it for an error: they look for "error" as its first member, those
// of the API also for a code in it that is a number of an HTTP error.
func (s *Splice) AppendToldFailure(dst, payload []byte) (out []byte, ok bool) {
	first, from := true, 0
	walkMembers(payload, skipSpace(payload, 0), func(name []byte, v span) {
		if first && string(name) == "error" && payload[v.from] == '{' {
			ok = s.form.Dialect == OpenAI || tellsCode(payload, v.from)
			from = v.from
		}
		first = false
	})
	if !ok {
		return dst, false
	}
	return appendOneLine(append(dst, `{"error": `...), respaced(payload[from:])), true
}

// respaced returns JSON without the white space between its tokens, but for one
// space behind each colon.
func respaced(text []byte) []byte {
	out, inString := make([]byte, 0, len(text)), false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case inString && c == '\\' && i+1 < len(text):
			out = append(out, c)
			i++
			c = text[i]
		case c == '"':
			inString = !inString
		case !inString && (c == ' ' || c == '\t' || c == '\r' || c == '\n'):
			continue
		case !inString && c == ':':
			out = append(out, c)
			c = ' '
		}
		out = append(out, c)
	}
	return out
}

// tellsCode tells whether the error object at i has the code of an HTTP error.
func tellsCode(payload []byte, i int) (ok bool) {
	walkMembers(payload, i, func(name []byte, v span) {
		if string(name) == "code" && payload[v.from] != '"' {
			n, isNumber := atoi(v.of(payload))
			ok = isNumber && n >= 400 && n < 600
		}
	})
	return ok
}
