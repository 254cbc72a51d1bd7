package stream

// Memory is where the texts of answers lie while they grow. Without one they
// grow as append makes them.
type Memory interface {
	// Get returns memory for n bytes at least, of length zero, or nil when
	// append serves as well.
	Get(n int) []byte
	// Put takes back what Get has returned. Nobody uses it any more.
	Put([]byte)
}

// UseMemory makes m the memory of the texts of all answers from the next Reset
// on.
func (s *Splice) UseMemory(m Memory) {
	s.join.giveBack(s.transcript.memory)
	s.transcript.release()
	s.transcript.memory = m
}

// Release gives the memory of the text back before the Splice is put aside. It
// must be Reset before it is used again.
func (s *Splice) Release() {
	s.join.giveBack(s.transcript.memory)
	s.transcript.release()
}
