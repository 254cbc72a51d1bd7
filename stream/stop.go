package stream

import "bytes"

// stopFinder looks for stop sequences that begin in what was delivered and end
// in a continuation: the model, which sees the first part in its prompt, does
// not stop at those itself.
type stopFinder struct {
	stops [][]byte // that may still stand across the seam
	near  []byte   // the end of the delivered text, and what followed it
	seam  int      // offset in near of the seam
}

// begin looks for stops across the end of delivered.
func (f *stopFinder) begin(stops [][]byte, delivered []byte) {
	longest := 0
	for _, s := range stops {
		longest = max(longest, len(s))
	}
	near := delivered[len(delivered)-min(len(delivered), max(0, longest-1)):]
	f.stops, f.near, f.seam = stops, append(f.near[:0], near...), len(near)
	if _, open := f.look(nil); !open {
		f.stops = nil
	}
}

func (f *stopFinder) off() bool { return len(f.stops) == 0 }

// look tells what text would mean if it followed: stopped, that it ends a
// stop sequence; open, that it may come to that.
func (f *stopFinder) look(text []byte) (stopped, open bool) {
	if f.off() {
		return false, false
	}
	near := append(f.near, text...)
	for _, s := range f.stops {
		for from := max(0, f.seam-len(s)+1); from < f.seam; from++ {
			stopped = stopped || bytes.HasPrefix(near[from:], s)
			open = open || bytes.HasPrefix(s, near[from:])
		}
	}
	return stopped, open
}

// take takes text that follows the seam and tells whether it ends a stop
// sequence that began before it.
func (f *stopFinder) take(text []byte) (stopped bool) {
	stopped, open := f.look(text)
	if f.near = append(f.near, text...); !open {
		f.stops = nil
	}
	return stopped
}
