package proxy

import (
	"bufio"
	"io"
	"reflect"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/valyala/fasthttp"
)

// readers takes the memory of fasthttp's readers away while their clients wait.
//
// fasthttp has a reader of MAX_HEADER_BYTES for each client, and keeps it until
// the response is over. A stream that lasts for minutes does not read from its
// client: it needs the reader again when the next request comes. fasthttp has a
// setting for that, ReduceMemoryUsage, which does nothing for request bodies that
// are streams.
//
// So what is in a reader changes place with nothing while a loop carries the
// stream, and comes back before fasthttp goes on. Meanwhile the memory is where
// fasthttp looks for that of other clients. It is safe because all of it happens
// in the goroutine that the connection is served in, which is the only one that
// touches the reader, and because a reader that holds bytes, such as the
// beginning of the next request, is left alone. Two members that fasthttp does
// not export are found by name and type; where they are not as expected, nothing
// is taken.
type readers struct {
	size int                         // of a reader's memory in bytes
	pool *sync.Pool                  // of *bufio.Reader: fasthttp's own; nil: nothing is taken
	seen atomic.Pointer[readerPlace] // in the bodies that have come
}

// readerPlace is where a type of request body keeps its reader.
type readerPlace struct {
	body   reflect.Type
	offset uintptr
	known  bool
}

// find prepares to take the memory of s's readers.
func (p *readers) find(s *fasthttp.Server) {
	p.size = s.ReadBufferSize
	f, ok := reflect.TypeFor[fasthttp.Server]().FieldByName("readerPool")
	if ok && f.Type == reflect.TypeFor[sync.Pool]() {
		p.pool = (*sync.Pool)(unsafe.Add(unsafe.Pointer(s), f.Offset))
	}
}

// of returns the reader behind a request body of fasthttp's, or nil.
func (p *readers) of(body io.Reader) *bufio.Reader {
	t := reflect.TypeOf(body)
	place := p.seen.Load()
	if place == nil || place.body != t {
		place = findReader(t)
		p.seen.Store(place)
	}
	if !place.known || p.pool == nil {
		return nil
	}
	return *(**bufio.Reader)(unsafe.Add(reflect.ValueOf(body).UnsafePointer(), place.offset))
}

func findReader(t reflect.Type) *readerPlace {
	place := &readerPlace{body: t}
	if t.Kind() == reflect.Pointer && t.Elem().Kind() == reflect.Struct {
		f, ok := t.Elem().FieldByName("reader")
		place.offset, place.known = f.Offset, ok && f.Type == reflect.TypeFor[*bufio.Reader]()
	}
	return place
}

// park takes the memory of the client's reader, until unpark. The request's body
// must have been read to its end.
func (e *exchange) park() {
	r, p := e.reader, &e.s.readers
	if r == nil || e.parked || r.Buffered() > 0 || r.Size() != p.size {
		return
	}
	full := e.spareReader
	if full == nil {
		full = new(bufio.Reader)
	}
	e.spareReader, e.parked = nil, true
	*full, *r = *r, bufio.Reader{}
	p.pool.Put(full)
}

// unpark gives memory back to the reader, which then reads from the client again.
func (e *exchange) unpark() {
	if e.parked {
		p := &e.s.readers
		full, _ := p.pool.Get().(*bufio.Reader)
		if full == nil {
			full = bufio.NewReaderSize(e.client, p.size)
		}
		full.Reset(e.client)
		*e.reader, *full = *full, bufio.Reader{}
		e.spareReader, e.parked = full, false
	}
	e.reader = nil
}
