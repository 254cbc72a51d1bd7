package stream

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestFailureCodeAndStatus(t *testing.T) {
	f := func(body string, code int, status, message string) {
		t.Helper()
		got, ok := ParseFailure([]byte(body))
		want := Failure{Code: code, Status: status, Message: message}
		if !ok || got != want {
			t.Errorf("%s: %+v, %t, want %+v", body, got, ok, want)
		}
	}
	f(`{"error": {"code": 503,"message": "The model is overloaded.","status": "UNAVAILABLE"}}`, 503, "UNAVAILABLE", "The model is overloaded.")
	f("{\n  \"error\": {\n    \"code\": 429,\n    \"message\": \"a\\n\\u003cb\\u003e\",\n    \"status\": \"RESOURCE_EXHAUSTED\"\n  }\n}\n", 429, "RESOURCE_EXHAUSTED", "a\n<b>")
	f("[{\n  \"error\": {\"code\": 400,\"status\": \"INVALID_ARGUMENT\"}}\n]", 400, "INVALID_ARGUMENT", "")
	// A code that is a string, or no HTTP status, or not there.
	f(`{"error": {"code": "429"}}`, 429, "", "")
	f(`{"error": {"status": "UNAVAILABLE"}}`, 503, "UNAVAILABLE", "")
	f(`{"error": {"code": null,"status": "DEADLINE_EXCEEDED"}}`, 504, "DEADLINE_EXCEEDED", "")
	f(`{"error": {"code": 8,"status": "RESOURCE_EXHAUSTED"}}`, 429, "RESOURCE_EXHAUSTED", "")
	f(`{"error": {"code": 200,"status": "NOT_FOUND"}}`, 404, "NOT_FOUND", "")
	f(`{"error": {"code": "out_of_luck","message": "sorry"}}`, 500, "", "sorry")
	// As OpenAI-compatible gateways write them.
	f(`{"error": {"code": "rate_limit_exceeded","message": "slow down"}}`, 429, "", "slow down")
	f(`{"error": {"message": "no","type": "invalid_request_error","param": null,"code": null}}`, 400, "", "no")
	f(`{"error": {"type": "overloaded_error"}}`, 503, "", "")
	f(`{"error": {"code": "out_of_luck","type": "server_error"}}`, 500, "", "")
	f(`{"error": {"code": 404,"type": "server_error"}}`, 404, "", "")
	f(`{"error": {"code": 600}}`, 500, "", "")
	f(`{"error": {"status": "NEW_STATUS"}}`, 500, "NEW_STATUS", "")
	f(`{"error": {}}`, 500, "", "")
	f(`{"error": "boom"}`, 500, "", "")
	f(`{"error": {"message": 5,"status": [],"details": {}}}`, 500, "", "")
}

func TestFailureIsAnErrorObject(t *testing.T) {
	for _, body := range []string{
		"", " ", "null", "1", `"error"`, "[]", "{}", `{"error": null}`, `{"errors": {}}`, `[{}]`, `[[{"error": {}}]]`,
		`[{"error": {}},{"error": {}}]`, `{"error": {}`, `{"error": {}} x`, "<html>error</html>", `data: {"error": {}}`,
	} {
		if f, ok := ParseFailure([]byte(body)); ok || f != (Failure{}) {
			t.Errorf("%s: %+v, %t", body, f, ok)
		}
	}
}

func TestFailureDelay(t *testing.T) {
	f := func(delay string, want time.Duration, has bool) {
		t.Helper()
		body := `{"error": {"code": 429,"details": [{"@type": "type.googleapis.com/google.rpc.Help","retryDelay": "1s"},` +
			`{"@type": "type.googleapis.com/google.rpc.RetryInfo"` + delay + `},7,null,{}]}}`
		got, ok := ParseFailure([]byte(body))
		if !ok || got.Delay != want || got.HasDelay != has {
			t.Errorf("%s: %s, %t, want %s, %t", delay, got.Delay, got.HasDelay, want, has)
		}
	}
	f(`,"retryDelay": "48s"`, 48*time.Second, true)
	f(`,"retryDelay": "48.9s"`, 48900*time.Millisecond, true)
	f(`,"retryDelay": "0.000001s"`, time.Microsecond, true)
	f(`,"retryDelay": "0s"`, 0, true)
	// As an object.
	f(`,"retryDelay": {"seconds": 48}`, 48*time.Second, true)
	f(`,"retryDelay": {"seconds": "48"}`, 48*time.Second, true)
	f(`,"retryDelay": {"seconds": 1,"nanos": 500000000}`, 1500*time.Millisecond, true)
	f(`,"retryDelay": {"nanos": 500000000}`, 500*time.Millisecond, true)
	// Much too long, but never negative by overflow.
	f(`,"retryDelay": "1e300s"`, 1<<30*time.Second, true)
	f(`,"retryDelay": {"seconds": 1e300}`, 1<<30*time.Second, true)
	// Nonsense says nothing.
	for _, delay := range []string{
		"", `,"retryDelay": null`, `,"retryDelay": "-1s"`, `,"retryDelay": "48"`, `,"retryDelay": "s"`, `,"retryDelay": ""`, `,"retryDelay": "soon"`,
		`,"retryDelay": "NaNs"`, `,"retryDelay": 48`, `,"retryDelay": {"seconds": -1}`, `,"retryDelay": {"seconds": -1e300}`, `,"retryDelay": []`,
		`,"retryDelay": {}`, `,"retryDelay": {"seconds": "soon"}`, `,"retryDelay": "1m"`,
	} {
		f(delay, 0, false)
	}
}

func TestFailureOnRecordings(t *testing.T) {
	for _, r := range recordings(t, "errors.jsonl") {
		f, ok := ParseFailure([]byte(r.Body))
		if !ok || f.Code != r.Status || f.Status == "" || f.Message == "" || f.HasDelay != strings.Contains(r.Body, "retryDelay") {
			t.Errorf("%s: %+v, %t, want code %d", r.Source, f, ok, r.Status)
		}
		if f.HasDelay && !strings.Contains(r.Body, fmt.Sprintf(`"retryDelay": "%ds"`, int(f.Delay.Seconds()))) {
			t.Errorf("%s: delay %s", r.Source, f.Delay)
		}
	}
}

func TestAppendFailureIsWhatClientsLookFor(t *testing.T) {
	f := func(code int, status, message string) {
		t.Helper()
		body := AppendFailure(nil, code, status, message)
		if !strings.HasPrefix(string(body), `{"error": {"code": `) {
			t.Errorf("%s: error and code must come first", body)
		}
		if err := strictPayload(body); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		var want struct {
			Error struct {
				Code            int
				Status, Message string
			}
		}
		if err := json.Unmarshal(body, &want); err != nil || want.Error.Code != code || want.Error.Status != status {
			t.Errorf("%s: %v", body, err)
		}
		got, ok := ParseFailure(body)
		if !ok || got.Code != code || got.Status != status || got.Message != want.Error.Message {
			t.Errorf("%s: read back as %+v, %t", body, got, ok)
		}
	}
	f(503, "UNAVAILABLE", "the answer broke off")
	f(502, "UNAVAILABLE", "quotes \" and \\, lines\r\n, \u2028\u0085 and \xff")
	f(504, "", "")
}

func TestFailureSaysWhatIsWrongWithAKey(t *testing.T) {
	f := func(message, details, reason string, spent bool) {
		t.Helper()
		body := fmt.Sprintf(`{"error": {"code": 429,"message": %q,"details": [%s]}}`, message, details)
		got, ok := ParseFailure([]byte(body))
		if !ok || got.Reason != reason || got.Spent != spent {
			t.Errorf("%s: %q, %t, want %q, %t", body, got.Reason, got.Spent, reason, spent)
		}
	}
	quota := func(violations string) string {
		return `{"@type": "type.googleapis.com/google.rpc.QuotaFailure","violations": [` + violations + `]}`
	}
	const (
		perMinute = `{"quotaMetric": "m","quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier","quotaDimensions": {"model": "x"},"quotaValue": "15"}`
		perDay    = `{"quotaMetric": "m","quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier","quotaValue": "50"}`
	)
	f("", `{"@type": "type.googleapis.com/google.rpc.ErrorInfo","reason": "API_KEY_INVALID","domain": "googleapis.com"}`, "API_KEY_INVALID", false)
	f("", `{"@type": "google.rpc.ErrorInfo","reason": 5}`, "", false)
	f("", `{"@type": "type.googleapis.com/other.ErrorInfo","reason": "X"}`, "", false)
	f("", quota(perMinute), "", false)
	f("", quota(perDay), "", true)
	f("", quota(perMinute+","+perDay), "", true)
	f("", quota(perMinute)+","+quota(perDay), "", true)
	for _, id := range []string{"RequestsPerDay", "requests_per_day", "INPUT-TOKENS-PER-DAY-PER-MODEL", "PerPerDay"} {
		f("", quota(`{"quotaId": "`+id+`"}`), "", true)
	}
	f("", quota(`{"quotaMetric": "aiplatform.googleapis.com/requests_per_day"}`), "", true)
	for _, id := range []string{"RequestsPerDa", "PerMinuteOfTheDay", "p1e2r", ""} {
		f("", quota(`{"quotaId": "`+id+`"}`), "", false)
	}
	limit := func(metadata string) string {
		return `{"@type": "type.googleapis.com/google.rpc.ErrorInfo","reason": "RATE_LIMIT_EXCEEDED","metadata": ` + metadata + `}`
	}
	f("", limit(`{"quota_limit": "GenerateContentRequestsPerMinutePerProjectPerRegion","quota_limit_value": "60","quota_unit": "1/min/{project}"}`), "RATE_LIMIT_EXCEEDED", false)
	f("", limit(`{"quota_limit": "GenerateContentRequestsPerMinutePerProjectPerRegion","quota_limit_value": "0"}`), "RATE_LIMIT_EXCEEDED", true)
	f("", limit(`{"quota_limit": "GenerateRequestsPerDayPerProject","quota_limit_value": "50"}`), "RATE_LIMIT_EXCEEDED", true)
	f("", limit(`{"quota_unit": "1/d/{project}"}`), "RATE_LIMIT_EXCEEDED", true)
	f("", limit(`{}`), "RATE_LIMIT_EXCEEDED", false)
	f("", limit(`7`), "RATE_LIMIT_EXCEEDED", false)
	// A quota of nothing, in all ways of saying it.
	f("", quota(`{"quotaId": "InputTokensPerMinute","quotaValue": "0"}`), "", true)
	f("", quota(`{"quotaId": "InputTokensPerMinute","quotaValue": 0}`), "", true)
	f("* Quota exceeded for metric: m, limit: 0, model: x\nPlease retry in 3s.", quota(`{"quotaId": "PerMinute"}`), "", true)
	f("limit: 0", quota(`{}`), "", true)
	f("limit: 0.", quota(`{}`), "", true)
	f("limit: 05, limit: 0.5", quota(`{}`), "", false)
	f("limit: 10", quota(`{}`), "", false)
	f("limit: 0", quota(perMinute), "", false)
	f("limit: 0", "", "", false)
	// Nonsense says nothing.
	f("", quota(``), "", false)
	f("", quota(`null,5,"PerDay",{"quotaId": ["PerDay"]}`), "", false)
	f("", `{"@type": "type.googleapis.com/google.rpc.QuotaFailure","violations": "PerDay"}`, "", false)
	f("PerDay", `7,null,"PerDay",{"@type": 5}`, "", false)
}

func TestFailureOfAKey(t *testing.T) {
	f := func(code int, message, reason string, want bool) {
		t.Helper()
		got, ok := ParseFailure(fmt.Appendf(nil, `{"error": {"code": %d,"message": %q,"details": [{"@type": "type.googleapis.com/google.rpc.ErrorInfo","reason": %q}]}}`, code, message, reason))
		if !ok || got.InvalidKey() != want {
			t.Errorf("%d %q %q: %t, want %t", code, message, reason, got.InvalidKey(), want)
		}
	}
	f(400, "x", "API_KEY_INVALID", true)
	f(400, "API key not valid. Please pass a valid API key.", "", true)
	f(400, "API key expired. Please renew the API key.", "", true)
	f(400, "Please pass a valid API key.", "", true)
	f(400, "User location is not supported for the API use.", "", false)
	f(400, "Invalid JSON payload received.", "BAD_REQUEST", false)
	f(404, "API key not valid", "", false)
}

func TestFailureAboutWhatTheRequestNames(t *testing.T) {
	f := func(code int, message string, want bool) {
		t.Helper()
		got, ok := ParseFailure(fmt.Appendf(nil, `[{"error": {"code": %d,"message": %q,"status": "x"}}]`, code, message))
		if !ok || got.Elsewhere != want {
			t.Errorf("%d %q: %t, want %t", code, message, got.Elsewhere, want)
		}
	}
	f(403, "You do not have permission to access the File 4p1hdqu3r7ql or it may not exist.", true)
	f(403, "CachedContent not found (or permission denied)", true)
	f(403, "Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/projects/p' (or it may not exist).", true)
	f(404, "You do not have permission to access the File 4p1hdqu3r7ql or it may not exist.", false)
	f(403, "Your API key was reported as leaked. Please use another API key.", false)
	f(403, "Permission denied: Consumer 'api_key:x' has been suspended.", false)
	f(403, "Requests to this API generativelanguage.googleapis.com method x are blocked.", false)
	f(403, "", false)
}

// Whatever an upstream says, it is read without a panic, and what the proxy
// makes of it can be read again.
func FuzzParseFailure(f *testing.F) {
	f.Add([]byte(`{"error": {"code": 429,"message": "limit: 0","status": "RESOURCE_EXHAUSTED","details": [{"@type": "type.googleapis.com/google.rpc.QuotaFailure","violations": [{"quotaId": "PerDay","quotaValue": "0"}]},{"@type": "type.googleapis.com/google.rpc.RetryInfo","retryDelay": "48s"}]}}`))
	f.Add([]byte(`[{"error": {"code": "400","details": [{"@type": "google.rpc.ErrorInfo","reason": "API_KEY_INVALID"}]}}]`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, ok := ParseFailure(body)
		if !ok {
			if got != (Failure{}) {
				t.Errorf("%+v of no failure", got)
			}
			return
		}
		if got.Code < 400 || got.Code > 599 || got.Delay < 0 || got.Delay > 0 && !got.HasDelay {
			t.Errorf("%+v", got)
		}
		again, ok := ParseFailure(AppendFailure(nil, got.Code, got.Status, got.Message))
		if !ok || again.Code != got.Code {
			t.Errorf("%+v, read again %+v", got, again)
		}
	})
}
