package proxy

import (
	"bytes"
	"crypto/tls"
	"testing"
	"time"
)

// TestTicketKeysTurn: a new key each day, and none that is a week old.
func TestTicketKeysTurn(t *testing.T) {
	var k tickets
	conf := &tls.Config{}
	begin := time.Unix(1_800_000_000, 0)
	for hour, want := range map[int]int{0: 1, 23: 1, 24: 2, 47: 2} {
		k = tickets{}
		for h := range hour + 1 {
			k.turn(conf, begin.Add(time.Duration(h)*time.Hour))
		}
		if len(k.keys) != want {
			t.Errorf("after %d hours: %d keys, want %d", hour, len(k.keys), want)
		}
	}
	for h := range 24 * 30 {
		k.turn(conf, begin.Add(time.Duration(h)*time.Hour))
	}
	if len(k.keys) != 7 || k.keys[0].secret == k.keys[1].secret {
		t.Errorf("after a month: %d keys", len(k.keys))
	}
}

// TestTicketKeysPass from one process to another; what is none is ignored.
func TestTicketKeysPass(t *testing.T) {
	now := time.Now()
	var old, next tickets
	conf := &tls.Config{}
	old.turn(conf, now.Add(-30*time.Hour))
	old.turn(conf, now)
	next.turn(conf, now)
	own := next.bytes()
	wire := old.bytes()
	stale := tickets{keys: []ticketKey{{made: now.Add(-ticketLife)}}}
	for _, b := range [][]byte{nil, wire[:1], wire[:len(wire)-1], append(bytes.Clone(wire), 0), stale.bytes()} {
		next.take(conf, b, now)
		if !bytes.Equal(next.bytes(), own) {
			t.Fatalf("%d bytes were taken for keys", len(b))
		}
	}
	next.take(conf, wire, now)
	if !bytes.Equal(next.bytes(), wire) || len(next.keys) != 2 {
		t.Error("the keys did not arrive")
	}
}

func FuzzTicketKeys(f *testing.F) {
	var k tickets
	k.turn(&tls.Config{}, time.Now())
	f.Add(k.bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		k := tickets{}
		now := time.Now()
		k.turn(&tls.Config{}, now)
		k.take(&tls.Config{}, b, now)
		if len(k.keys) == 0 {
			t.Fatal("no key is left")
		}
	})
}
