package stream

import "bytes"

// stopFinder looks for stop sequences that begin in what was delivered and end
// in a continuation: the model, which sees the first part in its prompt, does
// not stop at those itself.
type stopFinder struct {
	stops [][]byte
	near  []byte // the end of the delivered text, and what followed it
	seam  int    // offset in near of the seam
}

// begin looks for stops across the end of delivered.
func (f *stopFinder) begin(stops [][]byte, delivered []byte) {
	longest := 0
	for _, s := range stops {
		longest = max(longest, len(s))
	}
	if longest < 2 {
		*f = stopFinder{}
		return
	}
	near := delivered[max(0, len(delivered)-(longest-1)):]
	*f = stopFinder{stops: stops, near: append([]byte(nil), near...), seam: len(near)}
}

func (f *stopFinder) off() bool { return len(f.stops) == 0 }

// take takes text that follows the seam and tells whether it ends a stop
// sequence that began before it.
func (f *stopFinder) take(text []byte) bool {
	if f.off() {
		return false
	}
	f.near = append(f.near, text...)
	longest := 0
	for _, s := range f.stops {
		longest = max(longest, len(s))
		for from := max(0, f.seam-len(s)+1); from < f.seam; from++ {
			if bytes.HasPrefix(f.near[from:], s) {
				return true
			}
		}
	}
	if len(f.near)-f.seam >= longest {
		// No sequence reaches this far across.
		f.stops = nil
	}
	return false
}
