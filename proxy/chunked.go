package proxy

import "errors"

// errChunking says that a body's chunked coding is malformed.
var errChunking = errors.New("malformed chunked coding")

// maxChunkLine bounds a chunk-size line with its extensions, and the trailer
// section, in bytes.
const maxChunkLine = 4 << 10

type chunkState uint8

const (
	chunkSize     chunkState = iota // the digits of a chunk size
	chunkExt                        // an extension, up to CR
	chunkSizeLF                     // the LF after it
	chunkData                       // left bytes of data
	chunkDataCR                     // the CR after the data
	chunkDataLF                     // the LF after it
	chunkTrailer                    // at the start of a trailer line
	chunkInField                    // inside a trailer line, up to CR
	chunkFieldLF                    // the LF after it
	chunkFinalLF                    // the last LF
	chunkFinished                   // nothing more may come
)

// dechunker decodes the chunked transfer coding (RFC 9112 7.1) in place. It
// knows a body that ended from a connection that was closed between two
// chunks, which fasthttp's own reader does not. A line that ends in a bare LF, or
// holds a bare CR, is one that others read differently, and is refused.
type dechunker struct {
	state  chunkState
	left   int64 // of the chunk's data
	digits int
	line   int // bytes of the size line or the trailer section
}

// decode moves the data in b to its front and returns its length. rest is how
// many bytes at the end of b come after the end of the body. After an error
// the data before it is still good.
func (d *dechunker) decode(b []byte) (n, rest int, err error) {
	for i := 0; i < len(b); {
		if d.state == chunkData {
			m := int(min(d.left, int64(len(b)-i)))
			copy(b[n:], b[i:i+m])
			n += m
			i += m
			if d.left -= int64(m); d.left == 0 {
				d.state = chunkDataCR
				i += d.between(b[i:])
			}
			continue
		}
		if d.state == chunkFinished {
			return n, len(b) - i, nil
		}
		if err = d.step(b[i]); err != nil {
			return n, 0, err
		}
		i++
	}
	return n, 0, nil
}

// begins tells whether there is data in b, or the end of the body, and errChunking
// where neither can come any more. It leaves b and the decoder as they are.
func (d dechunker) begins(b []byte) (bool, error) {
	for _, c := range b {
		if d.state == chunkData || d.state == chunkFinished {
			return true, nil
		}
		if err := d.step(c); err != nil {
			return false, err
		}
	}
	return d.state == chunkFinished, nil
}

// between is a fast path for what stands between the data of two chunks, when
// it is all there and as nearly everybody writes it: CR LF, the digits, CR LF.
// It returns the length of what it took, zero when it left all to step.
func (d *dechunker) between(b []byte) int {
	const digits = 7
	if len(b) < 2 || b[0] != '\r' || b[1] != '\n' {
		return 0
	}
	size := int64(0)
	for i := 2; i < min(len(b)-1, 2+digits+1); i++ {
		c := b[i]
		if v := hexValue(c); v >= 0 {
			size = size<<4 | v
			continue
		}
		if c != '\r' || b[i+1] != '\n' || size == 0 {
			break
		}
		d.state, d.left = chunkData, size
		return i + 2
	}
	return 0
}

// hexValue returns what a hexadecimal digit stands for, -1 for what is none.
func hexValue(c byte) int64 {
	switch {
	case c >= '0' && c <= '9':
		return int64(c - '0')
	case c >= 'a' && c <= 'f':
		return int64(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int64(c-'A') + 10
	}
	return -1
}

// finished tells that the whole body has been seen, its last CR LF included.
func (d *dechunker) finished() bool { return d.state == chunkFinished }

// step takes one byte that is not data.
func (d *dechunker) step(c byte) error {
	switch d.state {
	case chunkSize:
		return d.size(c)
	case chunkExt:
		switch c {
		case '\r':
			d.state = chunkSizeLF
			return nil
		case '\n':
			return errChunking
		}
		return d.grow()
	case chunkSizeLF:
		if c != '\n' {
			return errChunking
		}
		d.endSize()
		return nil
	case chunkDataCR:
		return d.expect(c, '\r', chunkDataLF)
	case chunkDataLF:
		return d.expect(c, '\n', chunkSize)
	case chunkTrailer:
		if c == '\r' {
			d.state = chunkFinalLF
			return nil
		}
		d.state = chunkInField
		return d.inField(c)
	case chunkInField:
		return d.inField(c)
	case chunkFieldLF:
		if c != '\n' {
			return errChunking
		}
		d.state = chunkTrailer
		return nil
	default:
		return d.expect(c, '\n', chunkFinished)
	}
}

func (d *dechunker) expect(c, want byte, next chunkState) error {
	if c != want {
		return errChunking
	}
	d.state = next
	d.digits, d.line = 0, 0
	return nil
}

// inField takes a byte of a trailer line. Trailers are for nobody: only their
// end is looked for.
func (d *dechunker) inField(c byte) error {
	switch c {
	case '\r':
		d.state = chunkFieldLF
		return nil
	case '\n':
		return errChunking
	}
	return d.grow()
}

func (d *dechunker) grow() error {
	if d.line++; d.line > maxChunkLine {
		return errChunking
	}
	return nil
}

func (d *dechunker) size(c byte) error {
	if v := hexValue(c); v >= 0 {
		if d.digits++; d.digits > 15 {
			return errChunking
		}
		d.left = d.left<<4 | v
		return nil
	}
	if d.digits == 0 {
		return errChunking
	}
	switch c {
	case '\r':
		d.state = chunkSizeLF
	case ' ', '\t', ';':
		d.state = chunkExt
	default:
		return errChunking
	}
	return nil
}

func (d *dechunker) endSize() {
	d.digits, d.line = 0, 0
	d.state = chunkData
	if d.left == 0 {
		d.state = chunkTrailer
	}
}
