package routing

import (
	"strings"
	"time"
)

// maxTold bounds what ParseRetryAfter returns, so that adding it to a time or
// to another wait cannot overflow. Nobody waits that long.
const maxTold = 100 * 365 * 24 * time.Hour

// maxRetryAfterLen bounds the bytes of a value that are looked at. The longest
// date is half of it, and no number of seconds needs as much.
const maxRetryAfterLen = 64

// The forms of RFC 9110, section 5.6.7: the current one, then the two that
// recipients must still accept.
const (
	formIMF     = "Mon, 02 Jan 2006 15:04:05 GMT"
	formRFC850  = "Monday, 02-Jan-06 15:04:05 GMT"
	formAsctime = time.ANSIC
)

// ParseRetryAfter parses the value of a Retry-After header: a number of
// seconds, or a date, which is turned into the wait from now. A date in the
// past gives 0, and a wait of more than a century gives a century. It returns
// false if v is neither.
func ParseRetryAfter(v []byte, now time.Time) (time.Duration, bool) {
	if len(v) > maxRetryAfterLen {
		return 0, false
	}
	s := strings.Trim(string(v), " \t")
	if s == "" {
		return 0, false
	}
	if isDigit(s[0]) {
		return parseSeconds(s)
	}
	for _, form := range [...]string{formIMF, formRFC850, formAsctime} {
		t, err := time.Parse(form, s)
		if err != nil {
			continue
		}
		if form == formRFC850 {
			t = nearCentury(t, now)
		}
		return min(max(0, t.Sub(now)), maxTold), true
	}
	return 0, false
}

func parseSeconds(s string) (time.Duration, bool) {
	const limit = int64(maxTold / time.Second)
	n := int64(0)
	for i := range len(s) {
		if !isDigit(s[i]) {
			return 0, false
		}
		n = min(n*10+int64(s[i]-'0'), limit)
	}
	return time.Duration(n) * time.Second, true
}

// nearCentury settles the century of a date written with two digits: the last
// one that is not more than 50 years ahead of now.
func nearCentury(t, now time.Time) time.Time {
	limit := now.AddDate(50, 0, 0)
	t = t.AddDate((limit.Year()-t.Year())/100*100, 0, 0)
	if t.After(limit) {
		t = t.AddDate(-100, 0, 0)
	}
	return t
}
