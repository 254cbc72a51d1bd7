package stream

// Verdict says what an event, or the end of a body, means for the attempt
// that it belongs to.
type Verdict uint8

const (
	// More: nothing is decided, read on.
	More Verdict = iota
	// Complete: the answer came to its natural end.
	Complete
	// Policy: the answer was ended for good by a finish that is neither
	// natural nor retried, or by a blocked prompt. The client has seen it.
	Policy
	// Finish: a finish that is retried. The event is held.
	Finish
	// Empty: STOP, but nothing of an answer was ever delivered. Held.
	Empty
	// Cut: the body ended without a finish, or with half an event.
	Cut
	// Failed: an error object came in the stream. See Splice.Failure.
	Failed
	// Refused: the prompt of a continuation was blocked.
	Refused
	// Diverged: a continuation that began the answer anew, or was resumed by
	// the API itself, differs from what was delivered.
	Diverged
	// Broken: the answer came to its end, but is not the JSON document that it
	// was to be.
	Broken
	// Stopped: a stop sequence of the request stands across the seam; the
	// answer ends there.
	Stopped
)

var verdictNames = [...]string{"more", "complete", "policy", "finish", "empty", "cut", "error", "refused", "diverged", "broken", "stopped"}

// String returns the verdict's name as logs and metrics write it.
func (v Verdict) String() string { return verdictNames[v] }

// Reasons sorts the values of finishReason
// (https://ai.google.dev/api/generate-content#FinishReason).
type Reasons struct {
	retried map[string]bool
}

// NewReasons returns Reasons that treat the given values as interruptions.
func NewReasons(retried []string) *Reasons {
	r := &Reasons{retried: make(map[string]bool, len(retried))}
	for _, name := range retried {
		r.retried[name] = true
	}
	return r
}

// numberedFinishes are the names of the numbers that finishReason has under
// $alt=json;enum-encoding=int, as far as the Gemini API and Vertex AI agree.
// Zero is the default and says nothing.
var numberedFinishes = [...][]byte{nil, []byte("STOP"), []byte("MAX_TOKENS"), []byte("SAFETY"), []byte("RECITATION"), []byte("OTHER")}

// finishName returns the name that the value of finishReason stands for, nil
// for none. A number that has no name here stands for itself: a reason that
// is not known. The result may alias value.
func finishName(value []byte) []byte {
	switch c := value[0]; {
	case c == '"' && len(value) > 2:
		return plainName(value[1 : len(value)-1])
	case c < '0' || c > '9':
		return nil
	case len(value) == 1 && int(c-'0') < len(numberedFinishes):
		return numberedFinishes[c-'0']
	}
	return value
}

// natural tells whether finish is an end that a client asked for or must
// handle itself.
func natural(finish []byte) bool {
	switch string(finish) {
	case "STOP", "MAX_TOKENS", hopEnds:
		return true
	}
	return false
}

// hopEnds is the finish of an answer that has reached what one request may bring;
// its continuationToken asks for the rest.
const hopEnds = "CONTINUATION"
