package routing

import "time"

// Backoff spreads retries: the wait before retry n, counted from 0, is uniform
// between 0 and min(Max, Base*2^n). The spread down to zero is what keeps
// clients that failed together from coming back together.
type Backoff struct {
	// Base is the upper end for the first retry; 0 means no waiting at all.
	Base time.Duration
	// Max bounds the upper end for later ones.
	Max time.Duration
	// Rand returns a number in [0, 1). It is called from any goroutine and
	// must not be nil unless Base or Max is 0.
	Rand func() float64
}

// Delay returns the wait before retry n, less than min(Max, Base*2^n). A
// negative n counts as 0.
func (b *Backoff) Delay(n int) time.Duration {
	limit := b.limit(n)
	if limit <= 0 {
		return 0
	}
	d := time.Duration(b.Rand() * float64(limit))
	// A product close to the limit may have been rounded up to it.
	return max(0, min(d, limit-1))
}

// limit returns min(Max, Base*2^n) without overflow.
func (b *Backoff) limit(n int) time.Duration {
	limit := min(b.Base, b.Max)
	for ; n > 0 && limit > 0 && limit < b.Max; n-- {
		if limit > b.Max/2 {
			return b.Max
		}
		limit *= 2
	}
	return limit
}
