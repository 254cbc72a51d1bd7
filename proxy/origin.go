package proxy

import (
	"bytes"
	"slices"
	"time"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// maxOrigins is how many tokens, signatures and uploads are remembered, see
// routing.Origins: some megabytes at most.
const maxOrigins = 1 << 16

// whence is where what a request brings came from: the place that knows it.
type whence struct {
	group  *group // nil when nothing is known
	target int
	key    int  // that it was made with, NoKey when another one will do
	bound  bool // no other target can serve the request
	client string
}

// tie is how much what a request brings depends on where it came from.
type tie uint8

const (
	toTarget tie = iota // a thought signature: it is best there
	toKey               // what the API keeps for a caller: with that key
	toBoth              // a long decode, an upload: there, and nowhere else
)

// learn notes where the tokens and signatures of an event, or of a document, came
// from. Clients send them back.
func (e *exchange) learn(data []byte) {
	l := &e.lease
	note := func(value []byte) { e.note(value, l.origin()) }
	stream.EachToken(data, note)
	if e.group.signs {
		stream.EachSignature(data, note)
	}
}

// note remembers where a value came from, here and for the other replicas.
func (e *exchange) note(value []byte, from routing.Origin) {
	e.s.origins.Note(value, from)
	e.s.share.learned(value, from, e.st)
}

// origin names the place of the lease.
func (l *lease) origin() routing.Origin {
	o := routing.Origin{Group: l.group.Name, Target: l.target().Name}
	if l.key != routing.NoKey {
		o.Key = l.group.keys.Name(l.key)
	}
	return o
}

// findOrigin finds out where what the request brings came from. The token of a
// long decode is known to its target alone; a file, a cached content and an
// interaction are kept for the key that made them; a thought signature is known
// best where it was made, and the newest of them says where the conversation was.
func (e *exchange) findOrigin(body []byte) {
	if e.group.bound && e.from.group == nil && e.findHere(body, nil) && e.s.share.mayAsk() {
		e.findElsewhere(body)
	}
}

// findHere is findOrigin by what this process knows. It tells whether the request
// brings something of which it knows nothing and that would say more. All such
// things are put into strange, unless that is nil.
func (e *exchange) findHere(body []byte, strange *sought) (some bool) {
	look := func(value []byte, t tie) {
		if !e.cameFrom(value, t) {
			some = true
			strange.add(value, t)
		}
	}
	stream.EachToken(body, func(value []byte) { look(value, toBoth) })
	if e.from.group != nil {
		return false
	}
	keptFor := func(name []byte) {
		if len(name) > 0 {
			look(keptName(name), toKey)
		}
	}
	if keptFor(stream.ResourceName(e.path)); e.from.group == nil {
		stream.EachResource(body, keptFor)
	}
	if e.from.group != nil {
		return false
	}
	if e.group.signs {
		stream.EachSignature(body, func(value []byte) { look(value, toTarget) })
	}
	return some
}

// What a value that is no token and no signature begins with.
var (
	keptMark   = []byte("kept ")
	uploadMark = []byte("upload ")
)

// keptName is what something is remembered by that the API keeps.
func keptName(name []byte) []byte { return append(keptMark[:len(keptMark):len(keptMark)], name...) }

// learnKept notes whose something is that the API keeps.
func (e *exchange) learnKept(name []byte) {
	if len(name) > 0 && e.group.bound {
		e.note(keptName(name), e.lease.origin())
	}
}

// cameFrom makes the place that the value came from that of the request, if it
// is one of its group's or the fallback's. It tells whether that is known.
func (e *exchange) cameFrom(value []byte, t tie) (known bool) {
	o, known := e.s.origins.Find(value)
	for _, g := range [...]*group{e.group, e.group.fallback} {
		if g == nil || g.Name != o.Group {
			continue
		}
		for i, target := range g.targets {
			if target.Name != o.Target {
				continue
			}
			e.from = whence{group: g, target: i, key: routing.NoKey, bound: t == toBoth, client: o.Client}
			if g.keys != nil && t != toTarget {
				e.from.key = g.keys.Index(o.Key)
			}
			return known
		}
	}
	return known
}

// borrowThere takes the place that the request came from. ok is false when the
// request can go elsewhere, and there is a reason to: the target is ejected, or
// has just failed it, or is that of the fallback, whose turn it may not be.
func (e *exchange) borrowThere(now time.Time) (ok bool, wait time.Duration, _ error) {
	f := &e.from
	g := f.group
	if g == nil || !f.bound && (g != e.group && f.key == routing.NoKey || e.failed.group == g && e.failed.target == f.target || !g.balancer.Admitted(now, f.target)) {
		return false, 0, nil
	}
	avoid := routing.NoKey
	if e.failed.group == g {
		avoid = e.failed.key
	}
	key, wait, err := e.borrowKey(g, now, avoid)
	if err != nil {
		return f.bound, wait, err
	}
	e.take(lease{group: g, choice: g.balancer.AcquirePinned(now, f.target), key: key, open: true})
	return true, 0, nil
}

// knows tells whether the target of the lease takes a thought signature: one that
// it has made itself, for whichever group. One of which nothing is known is taken
// to be of the request's own group.
func (l *lease) knows(value []byte, origins *routing.Origins, home *group) bool {
	name := l.target().Name
	if o, known := origins.Find(value); known {
		return o.Target == name
	}
	return l.group == home || slices.ContainsFunc(home.targets, func(t *target) bool { return t.Name == name })
}

// withOwnSignatures returns a body without the thought signatures that the target
// of the lease would refuse; body itself when there are none. Else it is written
// to dst.
func (e *exchange) withOwnSignatures(dst, body []byte) []byte {
	l := &e.lease
	if !e.group.signs {
		return body
	}
	foreign := false
	stream.EachSignature(body, func(value []byte) {
		foreign = foreign || !l.knows(value, e.s.origins, e.group)
	})
	if !foreign {
		return body
	}
	return stream.AppendWithoutSignatures(dst, body, func(value []byte) bool {
		return l.knows(value, e.s.origins, e.group)
	})
}

// uploadName is what an upload is remembered by. Its identity is a secret that
// only whoever began it has, as with the API itself.
func uploadName(query []byte) []byte {
	id, _ := routing.QueryValue(query, "upload_id")
	if len(id) == 0 {
		return nil
	}
	return append(uploadMark[:len(uploadMark):len(uploadMark)], id...)
}

// learnUpload notes where an upload goes on whose URL the upstream names, and
// whose it is.
func (e *exchange) learnUpload(url []byte) {
	if _, query, some := bytes.Cut(url, []byte("?")); some && (e.group.bound || e.pooled) {
		o := e.lease.origin()
		o.Client = e.place.name()
		e.note(uploadName(query), o)
	}
}

// findUpload finds out where the upload was begun that the request goes on with.
func (e *exchange) findUpload() {
	if !e.isUpload() {
		return
	}
	name := uploadName(e.query)
	if len(name) > 0 && !e.cameFrom(name, toBoth) && (e.group.bound || e.group.keys != nil) && e.s.share.mayAsk() && e.seek([][]byte{name}) {
		e.cameFrom(name, toBoth)
	}
}
