package proxy

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"gemini-resilient-proxy/routing"
	"gemini-resilient-proxy/stream"
)

// maxKeyError is the size in bytes up to which the body of a relayed error is
// looked at for what it says of the key. Those of the API are a tenth of it.
const maxKeyError = 64 << 10

// ask sends a relayed request, whose whole body is in memory, and waits for the
// head of the response. It is sent again where it was certainly not served: to
// another target when no connection could be made, and with another key when
// the upstream refuses the group's. again is that of attempt.start.
//
// With a refusal the attempt is over, and it is what the client is told.
func (r *relayed) ask(body []byte, again bool) (*refusal, error) {
	e := r.e
	for {
		whole := e.bodyFor(body)
		r.a.plan.body, r.a.plan.length = whole, int64(len(whole))
		e.record.attempts++
		err := r.a.start(e, again)
		if err != nil {
			if !errors.Is(err, errDial) || !r.elsewhere(err) {
				return nil, err
			}
			continue
		}
		if !r.blames() {
			return nil, nil
		}
		if more, no := r.otherKey(); !more {
			return no, nil
		}
	}
}

// bodyFor is a request's body as the upstream of the lease is to have it.
func (e *exchange) bodyFor(body []byte) []byte {
	if !e.asksJSON() {
		return body
	}
	return e.renamedBody(e.withOwnSignatures(nil, body))
}

// elsewhere takes another target after one that could not be connected. It is
// false when there is none, or no further attempt is allowed.
func (r *relayed) elsewhere(err error) bool {
	e, now := r.e, time.Now()
	g, home := e.lease.group, e.group
	if e.err() != nil || e.record.attempts > home.policy.MaxConsecutive || e.record.attempts >= home.policy.MaxAttempts ||
		!g.hasOther(now, e.lease.choice.Index) && (g != home || home.fallback == nil) {
		return false
	}
	if ok, err := e.afford(false); !ok || err != nil {
		return false
	}
	r.interrupted(outcomeOf(err), 0)
	return r.aim()
}

// aim takes a target and a key for a further attempt, if there is a key.
func (r *relayed) aim() bool {
	now := time.Now()
	_, err := r.e.borrow(now)
	r.a.until = now.Add(r.e.cfg.FirstEventTimeout)
	return err == nil
}

// interrupted ends an attempt that another one follows.
func (r *relayed) interrupted(o routing.Outcome, status int) {
	e := r.e
	e.record.verdict(o)
	e.s.metrics.interrupted(e.group, o)
	e.settle(o, status)
	r.a.close()
	r.ahead = nil
}

// blames tells whether the response says that the group's key is at fault, which
// is then noted. What was read of the body for that is in ahead.
func (r *relayed) blames() bool {
	e, a := r.e, r.a
	code := a.head.StatusCode()
	if code < 400 || e.lease.key == routing.NoKey || code != 429 && !aboutKey(code) {
		return false
	}
	err := r.readAhead()
	f, _ := stream.ParseFailure(plainBody(a, r.ahead))
	if aboutKey(code) {
		return e.refusesKey(code, f, err)
	}
	told, hasTold := routing.ParseRetryAfter(a.retryAfter(), time.Now())
	if f.HasDelay {
		told, hasTold = max(told, f.Delay), true
	}
	return e.blameKey(code, f, told, hasTold)
}

// readAhead reads the body of an error into ahead, as far as it comes and is not
// too large. An error of the read comes again for whoever reads on.
func (r *relayed) readAhead() error {
	buf := make([]byte, 4<<10)
	for len(r.ahead) < maxKeyError {
		n, err := r.a.body.Read(buf)
		r.ahead = append(r.ahead, buf[:n]...)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// plainBody is the beginning of a body, in memory, without content coding.
func plainBody(a *attempt, body []byte) []byte {
	coding := a.head.ContentEncoding()
	if !bytes.EqualFold(coding, []byte("gzip")) && !bytes.EqualFold(coding, []byte("x-gzip")) {
		return body
	}
	plain, _ := io.ReadAll(io.LimitReader(&gunzip{src: bytes.NewReader(body)}, maxKeyError))
	return plain
}

// creates tells whether the response may name something that the API keeps from
// now on: a file, a cached content, an interaction, a video, a batch and later the
// file of its results.
func (e *exchange) creates(h *fasthttp.ResponseHeader) bool {
	if h.StatusCode() != 200 || claimOf(h.ContentType()) != claimsJSON {
		return false
	}
	if string(e.method) == "GET" {
		return bytes.HasPrefix(stream.ResourceName(e.path), []byte("batches/"))
	}
	switch _, action := e.model(); string(action) {
	case "batchGenerateContent", "asyncBatchEmbedContent", "predictLongRunning", "importFile":
		return true
	}
	return e.isUpload() || slices.ContainsFunc(collections, func(name string) bool { return bytes.HasSuffix(e.path, []byte(name)) })
}

// collections are what paths end with to which something is added that is kept:
// the last three are those of OpenAI's clients.
var collections = []string{"/cachedContents", "/interactions", "/fileSearchStores", "/tunedModels", "/batches", "/videos", "/files"}

// collection is what an id of the response is of, where it does not say so
// itself.
func (e *exchange) collection() string {
	for _, name := range [...]string{"batches/", "videos/", "files/"} {
		if bytes.Contains(e.path, []byte("/"+name)) || bytes.HasSuffix(e.path, []byte("/"+name[:len(name)-1])) {
			return name
		}
	}
	return "interactions/"
}

// see looks at what the client is about to be given for the names of what was
// made.
func (r *relayed) see(p []byte) {
	r.seen = append(r.seen, p[:min(len(p), maxKeyError-len(r.seen))]...)
	// However small the pieces are, a long body is gone through a few times only.
	// With the last piece the client has all of it, and may ask for what it names.
	const early = 4 << 10
	if len(r.seen) > early && len(r.seen) < 2*r.looked && len(r.seen) < maxKeyError && !r.a.body.ended {
		return
	}
	r.look()
}

// look learns the names in what was seen. One is all that there is, but for a
// batch.
func (r *relayed) look() {
	r.looked = len(r.seen)
	stream.EachCreated(plainBody(r.a, r.seen), r.e.collection(), func(name []byte) {
		r.e.learnKept(name)
		r.learns = r.learns && string(r.e.method) == "GET"
	})
	r.learns = r.learns && len(r.seen) < maxKeyError
}

// otherKey takes another key after one that was at fault. When there is none, no
// is what the client is told, nil where that is the upstream's own response: a
// quota that is used up, with the time after which there is a key.
func (r *relayed) otherKey() (more bool, no *refusal) {
	e, code := r.e, r.a.head.StatusCode()
	wait := e.parkedFor(time.Now())
	if wait == 0 && e.record.attempts < e.group.policy.MaxAttempts && e.err() == nil {
		if ok, err := e.afford(false); ok && err == nil {
			r.interrupted(routing.Status, code)
			if r.aim() {
				return true, nil
			}
			return false, e.noKey(e.parkedFor(time.Now()))
		}
	}
	no = e.noKey(max(wait, time.Second))
	if code == 429 {
		r.after = no.after
		return false, nil
	}
	return false, no
}

// setRetryAfter tells the client when there is a key, in place of what the
// upstream says of one.
func (r *relayed) setRetryAfter(h *fasthttp.ResponseHeader) {
	if r.after > 0 {
		h.Set(fasthttp.HeaderRetryAfter, strconv.Itoa(retryAfterSeconds(r.after)))
	}
}
