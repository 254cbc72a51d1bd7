package routing

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func pacific(t testing.TB) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestNextMidnight(t *testing.T) {
	zone := pacific(t)
	f := func(now, want string) {
		t.Helper()
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := NextMidnight(at, zone).UTC().Format(time.RFC3339); got != want {
			t.Errorf("after %s: %s, want %s", now, got, want)
		}
	}
	// Winter is eight hours behind, summer seven.
	f("2026-01-15T12:00:00Z", "2026-01-16T08:00:00Z")
	f("2026-01-15T07:59:59Z", "2026-01-15T08:00:00Z")
	f("2026-01-15T08:00:00Z", "2026-01-16T08:00:00Z")
	f("2026-07-15T12:00:00Z", "2026-07-16T07:00:00Z")
	f("2026-07-15T06:59:59.999999999Z", "2026-07-15T07:00:00Z")
	// Clocks go forward on March 8, 2026: a day of 23 hours.
	f("2026-03-08T08:00:00Z", "2026-03-09T07:00:00Z")
	f("2026-03-08T10:30:00Z", "2026-03-09T07:00:00Z")
	f("2026-03-08T07:30:00Z", "2026-03-08T08:00:00Z")
	// And back on November 1: a day of 25 hours.
	f("2026-11-01T07:00:00Z", "2026-11-02T08:00:00Z")
	f("2026-11-01T09:30:00Z", "2026-11-02T08:00:00Z")
	f("2026-11-02T07:30:00Z", "2026-11-02T08:00:00Z")
	// The end of a month and of a year.
	f("2027-01-01T07:59:00Z", "2027-01-01T08:00:00Z")
	f("2028-02-29T12:00:00Z", "2028-03-01T08:00:00Z")
}

func TestKeyFates(t *testing.T) {
	zone := pacific(t)
	f := func(r Refusal, want KeyFate, wait time.Duration) {
		t.Helper()
		fate, until := r.Fate(noon, zone)
		got := time.Duration(0)
		if !until.IsZero() {
			got = until.Sub(noon)
		}
		if fate != want || got != wait {
			t.Errorf("%+v: %d for %v, want %d for %v", r, fate, got, want, wait)
		}
	}
	f(Refusal{Status: 401}, KeyEjected, 0)
	f(Refusal{Status: 403}, KeyEjected, 0)
	f(Refusal{Status: 400, InvalidKey: true}, KeyEjected, 0)
	f(Refusal{Status: 400}, KeyStays, 0)
	for _, status := range []int{200, 404, 408, 500, 502, 503, 504} {
		f(Refusal{Status: status, Told: time.Hour, HasTold: true}, KeyStays, 0)
	}
	f(Refusal{Status: 429}, KeyParked, 10*time.Second)
	f(Refusal{Status: 429, Told: 48 * time.Second, HasTold: true}, KeyParked, 48*time.Second)
	f(Refusal{Status: 403, Elsewhere: true}, KeyStays, 0)
	// Never for no time at all: the key would be used again at once.
	f(Refusal{Status: 429, HasTold: true}, KeyParked, 100*time.Millisecond)
	f(Refusal{Status: 429, Told: -time.Second, HasTold: true}, KeyParked, 100*time.Millisecond)
	f(Refusal{Status: 429, Told: 300 * time.Millisecond, HasTold: true}, KeyParked, 300*time.Millisecond)
	f(Refusal{Status: 429, Told: maxTold, HasTold: true}, KeyParked, 24*time.Hour)
	// Noon UTC is five in the morning there.
	f(Refusal{Status: 429, Spent: true, Told: time.Second, HasTold: true}, KeyParked, 19*time.Hour)
}
