package routing

import (
	"sync"
	"time"
)

// Times of keys that do not say their own.
const (
	// ejectKeyFirst and ejectKeyMost bound how long a refused key is kept
	// away. It is tried again after that, since an operator may have mended
	// it; the time doubles with each refusal.
	ejectKeyFirst = time.Minute
	ejectKeyMost  = time.Hour
)

// maxParkedModels bounds the models for which keys are parked: their names come
// from clients. With more, a key is parked for all of them.
const maxParkedModels = 1000

// allModels is the name under which a key is parked for every model.
const allModels = ""

// KeySpec is what the configuration says of a key.
type KeySpec struct {
	// Name tells where the key stands, never what it is.
	Name string
	// Secret is the key.
	Secret Secret
}

// Keyring chooses among the keys of a group and knows which of them are of no
// use for now. It is safe for concurrent use.
type Keyring struct {
	limit int64

	mu    sync.Mutex
	keys  []ringKey
	next  int // where to look first, so that equals take turns
	parks map[string]map[int]time.Time
}

type ringKey struct {
	KeySpec
	running   int
	started   meter
	ejections int
	until     time.Time // of an ejection
	reason    string
}

// NewKeyring returns a Keyring of the given keys, all admitted. perMinute is how
// many requests each may begin within a minute; 0 is no limit.
func NewKeyring(specs []KeySpec, perMinute int) *Keyring {
	k := &Keyring{limit: int64(perMinute), keys: make([]ringKey, len(specs)), parks: map[string]map[int]time.Time{}}
	for i, s := range specs {
		k.keys[i] = ringKey{KeySpec: s, started: newMeter(time.Minute)}
	}
	return k
}

// enoughKeys is how many keys are looked at when one of them will do: with
// thousands of them, the best of the next ones is as good.
const enoughKeys = 64

// NoKey avoids no key, and is no key.
const NoKey = -1

// Len returns the number of keys, admitted or not.
func (k *Keyring) Len() int { return len(k.keys) }

// Secret returns the key of the given index. It does not change.
func (k *Keyring) Secret(index int) Secret { return k.keys[index].Secret }

// Name returns where the key of the given index stands.
func (k *Keyring) Name(index int) string { return k.keys[index].Name }

// Index returns the index of the key that stands there, or NoKey.
func (k *Keyring) Index(name string) int {
	for i := range k.keys {
		if k.keys[i].Name == name {
			return i
		}
	}
	return NoKey
}

// Acquire returns the index of the admitted key with the most room for a
// request to the given model: the one that began the fewest within the last
// minute, of those whose turn is next. avoid is the key that failed the request before: it is taken only if
// no other one is admitted. Exactly one Release follows.
//
// If no key is admitted, the index is NoKey and wait is the time until the
// first one is again.
func (k *Keyring) Acquire(now time.Time, model []byte, avoid int) (index int, wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	parked, everywhere := k.parks[string(model)], k.parks[allModels]
	index = NoKey
	n := len(k.keys)
	for j := range n {
		if j >= enoughKeys && index != NoKey && index != avoid {
			break
		}
		i := (k.next + j) % n
		w := k.wait(now, i, parked, everywhere)
		switch {
		case w > 0:
			if index == NoKey && (wait == 0 || w < wait) {
				wait = w
			}
		case index == NoKey, index == avoid, i != avoid && k.roomier(i, index):
			index = i
		}
	}
	if index == NoKey {
		k.missed(now, parked, everywhere)
		return NoKey, wait
	}
	k.next = (index + 1) % n
	k.keys[index].running++
	k.keys[index].started.take(now)
	return index, 0
}

// away returns how long a key is ejected or parked for, 0 if it is neither.
func (k *Keyring) away(now time.Time, i int, parked, everywhere map[int]time.Time) time.Duration {
	w := max(0, k.keys[i].until.Sub(now))
	if len(parked) > 0 {
		w = max(w, parked[i].Sub(now))
	}
	if len(everywhere) > 0 {
		w = max(w, everywhere[i].Sub(now))
	}
	return w
}

// missed notes that the lease of any key would have been of use.
func (k *Keyring) missed(now time.Time, parked, everywhere map[int]time.Time) {
	for i := range k.keys {
		if k.away(now, i, parked, everywhere) == 0 {
			k.keys[i].started.miss()
		}
	}
}

// wait returns how long a key is of no use for, 0 if it is admitted.
func (k *Keyring) wait(now time.Time, i int, parked, everywhere map[int]time.Time) time.Duration {
	key, w := &k.keys[i], k.away(now, i, parked, everywhere)
	if k.limit > 0 {
		w = max(w, key.started.wait(now, k.limit))
	} else {
		key.started.total(now)
	}
	return w
}

// roomier tells whether key i has more room than key j. Both have just been
// brought up to date by wait.
func (k *Keyring) roomier(i, j int) bool {
	a, b := &k.keys[i], &k.keys[j]
	if a.started.sum != b.started.sum {
		return a.started.sum < b.started.sum
	}
	return a.running < b.running
}

// Refused tells whether all keys are ejected: it is no quota that comes back.
func (k *Keyring) Refused(now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.keys {
		if !k.keys[i].until.After(now) {
			return false
		}
	}
	return true
}

// AcquireSame takes the key of the given index, if it is admitted for the model.
// Release follows once then.
func (k *Keyring) AcquireSame(now time.Time, model []byte, index int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.wait(now, index, k.parks[string(model)], k.parks[allModels]) > 0 {
		k.keys[index].started.miss()
		return false
	}
	k.keys[index].running++
	k.keys[index].started.take(now)
	return true
}

// Parked returns the time until the key of the given index is admitted for the
// model again, 0 when it is now, or is ejected: nobody knows then whether it
// will be.
func (k *Keyring) Parked(now time.Time, model []byte, index int) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys[index].until.After(now) {
		return 0
	}
	return k.wait(now, index, k.parks[string(model)], k.parks[allModels])
}

// Wait returns the time until a key is admitted for the model, 0 when one is
// now, without taking one.
func (k *Keyring) Wait(now time.Time, model []byte) (wait time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	parked, everywhere := k.parks[string(model)], k.parks[allModels]
	for i := range k.keys {
		w := k.wait(now, i, parked, everywhere)
		if w == 0 {
			return 0
		}
		if wait == 0 || w < wait {
			wait = w
		}
	}
	return wait
}

// Release ends the loan of a key.
func (k *Keyring) Release(index int) {
	k.mu.Lock()
	k.keys[index].running--
	k.mu.Unlock()
}

// Accepted says that the upstream took the key.
func (k *Keyring) Accepted(index int) {
	k.mu.Lock()
	if key := &k.keys[index]; key.ejections > 0 {
		key.ejections, key.until, key.reason = 0, time.Time{}, ""
	}
	k.mu.Unlock()
}

// Park keeps a key away from requests to the model until the given time. A
// later time that is known already stays.
func (k *Keyring) Park(index int, model []byte, until, now time.Time) {
	k.park(index, model, until, now)
}

// park is Park, and tells whether the time was not known yet.
func (k *Keyring) park(index int, model []byte, until, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	parked := k.parks[string(model)]
	if parked == nil {
		k.forget(now)
		name := string(model)
		if len(k.parks) >= maxParkedModels {
			name = allModels
		}
		if parked = k.parks[name]; parked == nil {
			parked = map[int]time.Time{}
			k.parks[name] = parked
		}
	}
	if !parked[index].Before(until) {
		return false
	}
	parked[index] = until
	return true
}

// forget drops what is over. It runs when a model is parked for the first time.
func (k *Keyring) forget(now time.Time) {
	for model, parked := range k.parks {
		for i, until := range parked {
			if !until.After(now) {
				delete(parked, i)
			}
		}
		if len(parked) == 0 {
			delete(k.parks, model)
		}
	}
}

// Eject keeps a key that the upstream refuses away from all requests: for a
// minute, and twice as long each time, at most an hour. It reports whether this
// is the first time since the key was last accepted, which is worth a log line.
func (k *Keyring) Eject(index int, reason string, now time.Time) (first bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := &k.keys[index]
	if key.until.After(now) {
		// A request that was under way when the key was ejected.
		return false
	}
	d := ejectKeyMost
	if key.ejections < 6 {
		d = ejectKeyFirst << key.ejections
	}
	key.ejections++
	key.until, key.reason = now.Add(min(d, ejectKeyMost)), reason
	return key.ejections == 1
}

// minShown is the length of a key from which its last four characters are
// shown.
const minShown = 20

// KeyState is what is shown of a key.
type KeyState struct {
	// Name tells where the key stands.
	Name string
	// Tail are its last four characters, "" if it is so short that they would
	// tell too much.
	Tail string
	// Running is the number of attempts with it, Recent how many began within
	// the last minute.
	Running, Recent int
	// Until is when an ejected key is tried again, zero for others; Reason
	// says why it was ejected.
	Until  time.Time
	Reason string
	// Parked are the models that the key is of no use for, and until when.
	// The name of all models is "".
	Parked map[string]time.Time
}

// States returns the states of all keys in the order of their specs.
func (k *Keyring) States(now time.Time) []KeyState {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := make([]KeyState, len(k.keys))
	for i := range k.keys {
		key := &k.keys[i]
		s := KeyState{Name: key.Name, Running: key.running, Recent: int(key.started.total(now))}
		if len(key.Secret) >= minShown {
			s.Tail = string(key.Secret[len(key.Secret)-4:])
		}
		if key.until.After(now) {
			s.Until, s.Reason = key.until, key.reason
		}
		for model, parked := range k.parks {
			if until := parked[i]; until.After(now) {
				if s.Parked == nil {
					s.Parked = map[string]time.Time{}
				}
				s.Parked[model] = until
			}
		}
		list[i] = s
	}
	return list
}

// Adopt takes what old knows of the keys that are here too, for a configuration
// that was loaded again. Loans of old stay with old.
func (k *Keyring) Adopt(old *Keyring) {
	old.mu.Lock()
	defer old.mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	place := make(map[string]int, len(k.keys))
	for i := range k.keys {
		place[string(k.keys[i].Secret)] = i
	}
	for j := range old.keys {
		i, here := place[string(old.keys[j].Secret)]
		if !here {
			continue
		}
		key, before := &k.keys[i], &old.keys[j]
		key.ejections, key.until, key.reason = before.ejections, before.until, before.reason
		key.started.adopt(&before.started)
		for model, parked := range old.parks {
			until, is := parked[j]
			if !is {
				continue
			}
			if k.parks[model] == nil {
				k.parks[model] = map[int]time.Time{}
			}
			k.parks[model][i] = until
		}
	}
}
