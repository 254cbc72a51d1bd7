package routing

import (
	"strings"
	"testing"
	"time"
)

var testNow = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func TestParseRetryAfter(t *testing.T) {
	f := func(v string, want time.Duration, ok bool) {
		t.Helper()
		got, gotOK := ParseRetryAfter([]byte(v), testNow)
		if got != want || gotOK != ok {
			t.Errorf("ParseRetryAfter(%q) = %v, %t, want %v, %t", v, got, gotOK, want, ok)
		}
	}
	f("0", 0, true)
	f("2", 2*time.Second, true)
	f("002", 2*time.Second, true)
	f(" \t2 ", 2*time.Second, true)
	f("1000000000", 1_000_000_000*time.Second, true)
	f("9999999999", maxTold, true)
	f("18446744073709551616", maxTold, true)
	f(strings.Repeat("9", 64), maxTold, true)
	f(strings.Repeat("9", 65), 0, false)

	// One time in three forms.
	f("Sun, 01 Mar 2026 12:01:30 GMT", 90*time.Second, true)
	f("Sunday, 01-Mar-26 12:01:30 GMT", 90*time.Second, true)
	f("Sun Mar  1 12:01:30 2026", 90*time.Second, true)
	f("Sun, 01 Mar 2026 12:00:00 GMT", 0, true)
	f("Sun, 01 Mar 2026 11:59:59 GMT", 0, true)
	f("Thu, 01 Jan 1970 00:00:00 GMT", 0, true)
	f("Sunday, 06-Nov-94 08:49:37 GMT", 0, true)
	f("Fri, 31 Dec 9999 23:59:59 GMT", maxTold, true)
	// Two digits mean the last such year that is not over 50 years ahead.
	f("Thursday, 01-Mar-75 12:00:00 GMT", testNow.AddDate(49, 0, 0).Sub(testNow), true)
	f("Sunday, 02-Mar-76 12:00:00 GMT", 0, true)

	f("", 0, false)
	f(" ", 0, false)
	f("-1", 0, false)
	f("+1", 0, false)
	f("1.5", 0, false)
	f("1e9", 0, false)
	f("2s", 0, false)
	f("2, 3", 0, false)
	f("soon", 0, false)
	f("0x10", 0, false)
	f("2026-03-01T12:00:00Z", 0, false)
	f("Sun, 01 Mar 2026 12:01:30 CET", 0, false)
	f("Sun, 31 Feb 2026 12:01:30 GMT", 0, false)
	f("Sun, 01 Mar 2026 12:01:30 GMT and so on", 0, false)
}

func FuzzParseRetryAfter(f *testing.F) {
	for _, s := range []string{"0", "120", "-1", "1e9", "Sun, 01 Mar 2026 12:01:30 GMT", "Sunday, 01-Mar-26 12:01:30 GMT", "Sun Mar  1 12:01:30 2026"} {
		f.Add([]byte(s), int64(0))
	}
	f.Fuzz(func(t *testing.T, v []byte, now int64) {
		const span = 4_000_000_000
		d, ok := ParseRetryAfter(v, time.Unix(now%span, 0).UTC())
		if d < 0 || d > maxTold || !ok && d != 0 {
			t.Fatalf("ParseRetryAfter(%q) = %v, %t", v, d, ok)
		}
	})
}
