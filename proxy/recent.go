package proxy

import (
	"sync"
	"time"

	"gemini-resilient-proxy/stream"
)

// maxRecent is how many healed answers are remembered.
const maxRecent = 100

// maxSeams bounds what is remembered of an answer that was interrupted often.
const maxSeams = 16

// seamNote is a place where an answer was cut and joined: lengths and causes,
// never text.
type seamNote struct {
	Cause   string `json:"cause"`
	At      int    `json:"at"`                // bytes of text that the client had
	Joined  string `json:"joined,omitempty"`  // how the continuation joined, "" when the request was made again
	Dropped int    `json:"dropped,omitempty"` // bytes that the continuation repeated
}

// healedNote is what is remembered of an answer that was healed.
type healedNote struct {
	At       time.Time  `json:"at"`
	Group    string     `json:"group"`
	Attempts int        `json:"attempts"`
	Bytes    int64      `json:"bytes"`
	Text     int        `json:"text,omitempty"` // bytes of text of the whole answer, 0 where they are not counted
	Seconds  float64    `json:"seconds"`
	Causes   []string   `json:"causes"` // of the attempts, in order
	Seams    []seamNote `json:"seams,omitempty"`
}

// recent are the answers that were healed last.
type recent struct {
	mu   sync.Mutex
	ring [maxRecent]healedNote
	n    int // ever
}

// add remembers the answer of e, which was healed.
func (l *recent) add(e *exchange) {
	r := &e.record
	note := healedNote{At: time.Now(), Group: e.groupName(), Attempts: r.attempts, Bytes: r.bytes, Text: r.text, Seconds: time.Since(e.started).Seconds()}
	for _, o := range r.verdicts {
		if o.Interruption() {
			note.Causes = append(note.Causes, o.String())
		}
	}
	note.Seams = append(note.Seams, r.seams...)
	l.mu.Lock()
	l.ring[l.n%maxRecent] = note
	l.n++
	l.mu.Unlock()
}

// list returns them, the newest first.
func (l *recent) list() []healedNote {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]healedNote, 0, min(l.n, maxRecent))
	for i := range cap(list) {
		list = append(list, l.ring[(l.n-1-i)%maxRecent])
	}
	return list
}

// cut notes where the answer broke off.
func (r *record) cut(cause string, at int) {
	if r.cuts++; r.cuts <= maxSeams {
		r.seams = append(r.seams, seamNote{Cause: cause, At: at})
	}
}

// join notes how the answer went on behind the last cut.
func (r *record) join(kind stream.SeamKind, dropped int) {
	if 0 < r.cuts && r.cuts <= maxSeams {
		last := &r.seams[r.cuts-1]
		last.Joined, last.Dropped = kind.String(), dropped
	}
}
