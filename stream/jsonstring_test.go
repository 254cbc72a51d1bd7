package stream

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// decoded is the string that a JSON string stands for by encoding/json.
func decoded(t *testing.T, quoted []byte) string {
	t.Helper()
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		t.Fatalf("%q: %v", quoted, err)
	}
	return s
}

// samples are all characters of the basic plane, some others, and bytes that
// are no UTF-8.
func samples() []string {
	var all []string
	for r := rune(0); r <= 0xffff; r++ {
		all = append(all, string(r))
	}
	for _, r := range []rune{0x10000, 0x1f600, 0x1ffff, 0xe0001, 0xfffff, utf8.MaxRune} {
		all = append(all, string(r))
	}
	for b := 0x80; b <= 0xff; b++ {
		all = append(all, string([]byte{byte(b)}), string([]byte{'a', byte(b), byte(b), 'b'}))
	}
	return append(all, "", "\xe2\x80", "\xf0\x9f\x98", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80", "plain", `"\/`, "\r\n\t\b\f\x00\x7f")
}

func TestJSONStringRoundTrip(t *testing.T) {
	for _, s := range samples() {
		quoted := AppendJSONString([]byte("x"), []byte(s))[1:]
		want := string([]rune(s)) // each wrong byte is one U+FFFD
		if got := decoded(t, quoted); got != want {
			t.Fatalf("%q: encoding/json reads %q", s, got)
		}
		if got := string(AppendUnescaped([]byte("x"), quoted[1:len(quoted)-1])); got != "x"+want {
			t.Fatalf("%q: AppendUnescaped reads %q", s, got)
		}
		if err := strictPayload(quoted); err != nil {
			t.Fatalf("%q: %v in %s", s, err, quoted)
		}
		if strings.ContainsRune(string(quoted), 0x7f) {
			t.Fatalf("%q: a raw DEL", s)
		}
	}
}

func TestJSONStringKeepsWhatNeedsNoEscape(t *testing.T) {
	const s = "Grüße, 世界 😀 / <b> & 'x' \u00a0"
	if got := string(AppendJSONString(nil, []byte(s))); got != `"`+s+`"` {
		t.Errorf("%s", got)
	}
}

func TestUnescapeReadsWhatEncodingJSONReads(t *testing.T) {
	for _, s := range samples() {
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(AppendUnescaped(nil, quoted[1:len(quoted)-1])), decoded(t, quoted); got != want {
			t.Fatalf("%s: %q, want %q", quoted, got, want)
		}
		// Not escaped at all, where JSON allows it.
		if raw := []byte(`"` + s + `"`); json.Valid(raw) {
			if got, want := string(AppendUnescaped(nil, []byte(s))), decoded(t, raw); got != want {
				t.Fatalf("%q: %q, want %q", s, got, want)
			}
		}
	}
}

func TestUnescape(t *testing.T) {
	f := func(inside, want string) {
		t.Helper()
		if got := string(AppendUnescaped(nil, []byte(inside))); got != want {
			t.Errorf("AppendUnescaped(%q) = %q, want %q", inside, got, want)
		}
		quoted := appendReescaped([]byte(`"`), []byte(inside))
		quoted = append(quoted, '"')
		if got := decoded(t, quoted); got != want {
			t.Errorf("appendReescaped(%q) = %s, which reads %q, want %q", inside, quoted, got, want)
		}
		if err := strictPayload(quoted); err != nil {
			t.Errorf("appendReescaped(%q): %v", inside, err)
		}
		if raw := []byte(`"` + inside + `"`); json.Valid(raw) && decoded(t, raw) != want {
			t.Errorf("encoding/json reads %q as %q", inside, decoded(t, raw))
		}
	}
	// All escapes of JSON.
	f(`\"\\\/\b\f\n\r\t`, "\"\\/\b\f\n\r\t")
	f(`\u0041\u00e9\u00E9\u4e16\u0000`, "Aéé世\x00")
	f(`a\\nb`, `a\nb`)
	// Surrogates.
	f(`\ud83d\ude00\uD83D\uDE00`, "😀😀")
	f(`\ud83d`, "\ufffd")
	f(`\ude00`, "\ufffd")
	f(`\ud83dx`, "\ufffdx")
	f(`\ud83d\n`, "\ufffd\n")
	f(`\ud83d\u0041`, "\ufffdA")
	f(`\ud83d\ud83d\ude00`, "\ufffd😀")
	f(`\ude00\ud83d`, "\ufffd\ufffd")
	f(`\ufffd\uFFFD`+"\ufffd", "\ufffd\ufffd\ufffd")
	// What JSON does not know.
	f(`\x41`, "\ufffd41")
	f(`\u12`, "\ufffd12")
	f(`\u12g4`, "\ufffd12g4")
	f(`\`, "\ufffd")
	f(`a\u`, "a\ufffd")
	// Raw bytes that JSON forbids.
	f("a\nb\x00\x1f\u2028\u0085", "a\nb\x00\x1f\u2028\u0085")
	f("\xff\xff\xe2\x80", "\ufffd\ufffd\ufffd\ufffd")
}

func TestReescapeCopiesWhatIsSound(t *testing.T) {
	for _, inside := range []string{"", "plain", `\u003cb\u003e \ud83d\ude00 \/ \\ \"`, "é 😀"} {
		if got := string(appendReescaped(nil, []byte(inside))); got != inside {
			t.Errorf("%s became %s", inside, got)
		}
	}
}
