package routing

import (
	"hash/maphash"
	"sync"
)

// Origin is where something came from that only the upstream understands which
// made it: the token of a long decode, a thought signature, the identity of an
// upload. It names what a configuration that is loaded again may have, too.
type Origin struct {
	Group, Target string
	// Key tells where the key stands that was used, "" for a client's own.
	Key string
	// Client is the client of the proxy that it was made for, "" for nobody that
	// is known by name.
	Client string
}

// Origins remember where such things came from: of those that were noted or
// found last, at least as many as NewOrigins was told, and at most twice as many.
// They hold no more than a hash of each. The zero value remembers nothing. They
// are safe for concurrent use.
type Origins struct {
	most int
	seed maphash.Seed

	mu         sync.Mutex
	young, old map[uint64]*Origin
	shared     map[Origin]*Origin // that young and old point to
}

// NewOrigins returns an empty memory.
func NewOrigins(most int) *Origins {
	return &Origins{
		most: most, seed: maphash.MakeSeed(),
		young: map[uint64]*Origin{}, old: map[uint64]*Origin{}, shared: map[Origin]*Origin{},
	}
}

// Note remembers where the value came from. What is known of it already is
// replaced.
func (o *Origins) Note(value []byte, from Origin) {
	if o.most == 0 || len(value) == 0 {
		return
	}
	h := o.hash(value)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.keep(h, o.share(from))
}

// Find returns where the value came from. What is asked for is remembered for
// longer.
func (o *Origins) Find(value []byte) (from Origin, known bool) {
	if o.most == 0 || len(value) == 0 {
		return Origin{}, false
	}
	h := o.hash(value)
	o.mu.Lock()
	defer o.mu.Unlock()
	at := o.young[h]
	if at == nil {
		if at = o.old[h]; at == nil {
			return Origin{}, false
		}
		o.keep(h, at)
	}
	return *at, true
}

// share returns the one copy of an origin that all values from there point to.
func (o *Origins) share(from Origin) *Origin {
	at := o.shared[from]
	if at == nil {
		at = new(Origin)
		*at = from
		o.shared[from] = at
	}
	return at
}

// keep puts a value among the young ones, which become the old ones when they
// are many.
func (o *Origins) keep(h uint64, at *Origin) {
	if len(o.young) >= o.most {
		o.young, o.old = make(map[uint64]*Origin, o.most), o.young
		clear(o.shared)
		for _, used := range o.old {
			o.shared[*used] = used
		}
		o.shared[*at] = at
	}
	o.young[h] = at
}

// AppendPlain appends what Origins know a value by, which is the same in both
// alphabets of base64, with padding and without (RFC 4648): some clients read it
// as bytes, and write it their own way.
func AppendPlain(dst, value []byte) []byte {
	for _, c := range value {
		if c, some := plain(c); some {
			dst = append(dst, c)
		}
	}
	return dst
}

// plain returns what stands for a byte of a value. some is false for padding.
func plain(c byte) (_ byte, some bool) {
	switch c {
	case '-':
		return '+', true
	case '_':
		return '/', true
	}
	return c, c != '='
}

// hash is that of what AppendPlain appends.
func (o *Origins) hash(value []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(o.seed)
	var room [128]byte
	n := 0
	for _, c := range value {
		var some bool
		if room[n], some = plain(c); !some {
			continue
		}
		if n < len(room)-1 {
			n++
			continue
		}
		h.Write(room[:])
		n = 0
	}
	h.Write(room[:n])
	return h.Sum64()
}
