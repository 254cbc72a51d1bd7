package proxy

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"sync"
	"time"
)

// Session tickets are sealed with the newest key and opened with any. A ticket
// is good for seven days at most (RFC 8446, section 4.6.1).
const (
	ticketRotation = 24 * time.Hour
	ticketLife     = 7 * 24 * time.Hour
)

// tickets are the keys that TLS sessions are resumed with. Package tls would
// make keys of its own, which no other process could take over.
type tickets struct {
	mu   sync.Mutex
	keys []ticketKey // the newest first
}

type ticketKey struct {
	made   time.Time
	secret [32]byte
}

// turn makes a new key when it is time for one, forgets those whose tickets are
// too old, and has conf use what there is.
func (t *tickets) turn(conf *tls.Config, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.keys) > 0 && now.Sub(t.keys[0].made) < ticketRotation {
		return
	}
	key := ticketKey{made: now}
	rand.Read(key.secret[:])
	keys := []ticketKey{key}
	for _, k := range t.keys {
		if now.Sub(k.made) < ticketLife {
			keys = append(keys, k)
		}
	}
	t.use(conf, keys)
}

func (t *tickets) use(conf *tls.Config, keys []ticketKey) {
	t.keys = keys
	secrets := make([][32]byte, 0, len(keys))
	for _, k := range keys {
		secrets = append(secrets, k.secret)
	}
	conf.SetSessionTicketKeys(secrets)
}

// ticketKeySize is that of a key in bytes: when it was made, in Unix seconds,
// and the secret.
const ticketKeySize = 8 + 32

// bytes returns the keys for take.
func (t *tickets) bytes() (b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range t.keys {
		b = binary.BigEndian.AppendUint64(b, uint64(k.made.Unix()))
		b = append(b, k.secret[:]...)
	}
	return b
}

// take uses the keys of another process in place of its own. What is not a list
// of keys that could still be in use is ignored.
func (t *tickets) take(conf *tls.Config, b []byte, now time.Time) {
	var keys []ticketKey
	for ; len(b) >= ticketKeySize; b = b[ticketKeySize:] {
		k := ticketKey{time.Unix(int64(binary.BigEndian.Uint64(b)), 0), [32]byte(b[8:])}
		if age := now.Sub(k.made); -ticketRotation < age && age < ticketLife {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 || len(b) > 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.use(conf, keys)
}

// SessionKeys returns the secrets by which TLS sessions of the public listener
// are resumed, for UseSessionKeys of the process that takes over; nil when it
// speaks no TLS. They are as good as the certificate's key for reading what
// clients of TLS 1.2 send, and are to be kept like it.
func (s *Server) SessionKeys() []byte {
	if s.certs == nil {
		return nil
	}
	return s.certs.tickets.bytes()
}

// UseSessionKeys takes what SessionKeys returned in another process, so that
// clients resume their sessions with this one. It is called before Serve.
func (s *Server) UseSessionKeys(keys []byte) {
	if s.certs != nil {
		s.certs.tickets.take(s.certs.top, keys, time.Now())
	}
}
