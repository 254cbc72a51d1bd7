package proxy

// frameRoom is the room that a frame keeps in front of its data for the chunk
// size: seven hexadecimal digits at most, CR LF, and one spare.
const frameRoom = 10

// emptyFrame makes b a frame without data, which can then be appended to.
func emptyFrame(b []byte) []byte {
	var room [frameRoom]byte
	return append(b[:0], room[:]...)
}

// sealFrame makes one chunk (RFC 9112 7.1) of a frame whose data is not empty
// and returns its bytes. The frame is used up.
func sealFrame(b []byte) []byte {
	n := len(b) - frameRoom
	b = append(b, "\r\n"...)
	at := frameRoom - 2
	copy(b[at:], "\r\n")
	for {
		at--
		b[at] = "0123456789abcdef"[n&15]
		if n >>= 4; n == 0 {
			return b[at:]
		}
	}
}
