package routing

import (
	"sync"
	"time"
)

// budgetSpan is how long a deposit outlives its request and a withdrawal
// counts, as in Finagle's RetryBudget.
const budgetSpan = 10 * time.Second

// token is what one retry costs, in the units of a Budget's accounts. A deposit
// is a share of it, to the millionth.
const token = 1_000_000

// Budget bounds the retries and continuations of a group, so that an upstream
// in trouble is not asked a multiple of what its clients ask. It follows
// Finagle's RetryBudget
// (https://twitter.github.io/finagle/docs/com/twitter/finagle/service/RetryBudget.html):
// each request deposits a share of a retry, each retry withdraws a whole one,
// and a reserve lets requests that are few be retried all the same. A deposit
// counts for as long as its request runs, since streams run for minutes, and
// ten seconds more; a withdrawal is made good after ten seconds.
//
// In any ten seconds there are thus at most share × (requests that ran in them)
// + perSecond × 10 retries. A nil Budget has no bound. It is safe for
// concurrent use.
type Budget struct {
	deposit int64 // of one request
	reserve int64

	mu      sync.Mutex
	running int64
	ended   window // requests
	spent   meter  // retries
}

// NewBudget returns a full Budget. share is the part of the running requests
// that may be retried, 0.2 for a fifth; perSecond the retries that are free in
// any case. Neither is negative.
func NewBudget(share, perSecond float64) *Budget {
	return &Budget{
		deposit: int64(share*token + 0.5),
		reserve: int64(perSecond*budgetSpan.Seconds()*token + 0.5),
		ended:   newWindow(budgetSpan),
		spent:   newMeter(budgetSpan),
	}
}

// Begin deposits for a client's request. End follows once.
func (b *Budget) Begin() {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.running++
	b.mu.Unlock()
}

// End says that a request is over.
func (b *Budget) End(now time.Time) {
	if b == nil {
		return
	}
	b.mu.Lock()
	b.running--
	b.ended.add(now, 1)
	b.mu.Unlock()
}

// Running returns how many requests have begun and not ended.
func (b *Budget) Running() int {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.running)
}

// Withdraw takes one retry and reports whether there was one to take.
func (b *Budget) Withdraw(now time.Time) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent.joined(now) {
		// The replicas' account is one, of which this one has a lease.
		if b.spent.left == 0 {
			b.spent.miss()
			return false
		}
	} else if b.balance(now) < token {
		return false
	}
	b.spent.take(now)
	return true
}

// Balance returns how many retries are left, a whole number.
func (b *Budget) Balance(now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return int(b.balance(now) / token)
}

func (b *Budget) balance(now time.Time) int64 {
	return b.reserve + b.deposit*(b.running+b.ended.total(now)) - token*b.spent.total(now)
}
