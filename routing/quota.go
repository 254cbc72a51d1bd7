package routing

import "time"

// defaultPark is how long a key is parked by a 429 that names no time; minPark
// and maxPark bound the time that it names. A key that were not parked at all
// would be used again at once.
const (
	defaultPark = 10 * time.Second
	minPark     = 100 * time.Millisecond
	maxPark     = 24 * time.Hour
)

// Refusal is what an upstream answered to a request with a key of the pool.
type Refusal struct {
	// Status is the HTTP status, or the code of an error in a stream.
	Status int
	// Elsewhere says that the answer is about something that the request names,
	// such as a file of somebody else.
	Elsewhere bool
	// InvalidKey says that the error's reason is API_KEY_INVALID.
	InvalidKey bool
	// Spent says that the quota is one per day, or 0: waiting for a while
	// brings nothing.
	Spent bool
	// Told is the wait that the upstream asked for, if HasTold is set.
	Told    time.Duration
	HasTold bool
}

// KeyFate is what becomes of a key after a Refusal.
type KeyFate uint8

// The fates of a key.
const (
	// KeyStays: the answer is not about the key.
	KeyStays KeyFate = iota
	// KeyParked: it is of no use for the model until some time.
	KeyParked
	// KeyEjected: it is of no use at all.
	KeyEjected
)

// Fate says what becomes of the key, and until when one that is parked is of no
// use. pacific is the time zone at whose midnight the API's daily quotas begin
// anew, America/Los_Angeles
// (https://ai.google.dev/gemini-api/docs/rate-limits).
func (r *Refusal) Fate(now time.Time, pacific *time.Location) (fate KeyFate, until time.Time) {
	switch {
	case r.Status == 403 && r.Elsewhere:
		return KeyStays, time.Time{}
	case r.Status == 401, r.Status == 403, r.InvalidKey:
		return KeyEjected, time.Time{}
	case r.Status != 429:
		return KeyStays, time.Time{}
	case r.Spent:
		return KeyParked, NextMidnight(now, pacific)
	case r.HasTold:
		return KeyParked, now.Add(min(max(minPark, r.Told), maxPark))
	}
	return KeyParked, now.Add(defaultPark)
}

// NextMidnight returns the beginning of the next day in the given time zone.
// Days of 23 and 25 hours are as long as they are.
func NextMidnight(now time.Time, zone *time.Location) time.Time {
	year, month, day := now.In(zone).Date()
	return time.Date(year, month, day+1, 0, 0, 0, 0, zone)
}
