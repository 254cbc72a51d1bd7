package routing

import "time"

// Mark is a key or a target that is of no use for a while, as one replica tells
// it to others.
type Mark struct {
	// Index is the key's or the target's.
	Index int
	// Model is the one that a key is parked for, "" for all; a target and an
	// ejected key have none.
	Model string
	// Ejected says that a key is ejected, for Reason, and not parked.
	Ejected bool
	Reason  string
	// Until is when the time is over.
	Until time.Time
}

// Marks appends what is left out now.
func (k *Keyring) Marks(dst []Mark, now time.Time) []Mark {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.keys {
		if key := &k.keys[i]; key.until.After(now) {
			dst = append(dst, Mark{Index: i, Ejected: true, Reason: key.reason, Until: key.until})
		}
	}
	for model, parked := range k.parks {
		for i, until := range parked {
			if until.After(now) {
				dst = append(dst, Mark{Index: i, Model: model, Until: until})
			}
		}
	}
	return dst
}

// Heed takes over what another replica knows of a key. Of two times the later
// one counts. It reports whether that was news.
func (k *Keyring) Heed(m Mark, now time.Time) bool {
	if !m.Until.After(now) || m.Index < 0 || m.Index >= len(k.keys) {
		return false
	}
	if !m.Ejected {
		return k.park(m.Index, []byte(m.Model), m.Until, now)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	key := &k.keys[m.Index]
	if !key.until.Before(m.Until) {
		return false
	}
	key.until, key.reason, key.ejections = m.Until, m.Reason, max(1, key.ejections)
	return true
}

// Marks appends the targets that are ejected now.
func (b *Balancer) Marks(dst []Mark, now time.Time) []Mark {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.targets {
		if until := b.targets[i].until; until.After(now) {
			dst = append(dst, Mark{Index: i, Until: until})
		}
	}
	return dst
}

// Heed ejects a target that another replica has ejected, unless it is the last
// one here. It reports whether that was news.
func (b *Balancer) Heed(m Mark, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !m.Until.After(now) || m.Index < 0 || m.Index >= len(b.targets) || !b.others(m.Index) {
		return false
	}
	t := &b.targets[m.Index]
	if !t.until.Before(m.Until) || t.probing {
		return false
	}
	t.until, t.failures, t.ejections = m.Until, 0, max(1, t.ejections)
	return true
}
