package routing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretNeverPrints(t *testing.T) {
	const canary = "AIzaCANARY"
	s := Secret(canary)
	var out []string
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%20s", "%.3s", "%b", "%c", "%U", "%t"} {
		out = append(out, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, struct{ S Secret }{s}))
	}
	out = append(out, fmt.Sprint(s), fmt.Sprintln(s), s.String(), s.GoString(), fmt.Errorf("key %v", s).Error())
	encoded, err := json.Marshal(map[string]any{"key": s})
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, string(encoded))
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "key", s)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "key", s)
	out = append(out, log.String())

	for _, text := range out {
		if !strings.Contains(text, "REDACTED") {
			t.Errorf("%q does not say REDACTED", text)
		}
		for _, leak := range []string{canary, "AIz", fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), "65 73"} {
			if strings.Contains(text, leak) {
				t.Errorf("%q holds %q of the secret", text, leak)
			}
		}
	}
	if got := string([]byte(s)); got != canary {
		t.Errorf("converted = %q, want %q", got, canary)
	}
}

func TestSecretEmpty(t *testing.T) {
	var s Secret
	text, err := s.MarshalText()
	if got := fmt.Sprintf("%v%s%#v", s, s, s) + s.String() + s.GoString() + string(text) + s.LogValue().String(); got != "" || err != nil {
		t.Errorf("an empty secret prints %q, %v", got, err)
	}
}

func TestSplitKey(t *testing.T) {
	table := testTable(t)
	f := func(key, group, rest string) {
		t.Helper()
		g, r := table.SplitKey([]byte(key))
		name := ""
		if g != nil {
			name = g.Name
		}
		if name != group || string(r) != rest {
			t.Errorf("SplitKey(%q) = %q, %q, want %q, %q", key, name, r, group, rest)
		}
	}
	f("", "", "")
	f("KEY", "", "KEY")
	f("group-a:KEY", "group-a", "KEY")
	f("group-a:", "group-a", "")
	f("group-a", "", "group-a")
	f("group-a:K:E:Y", "group-a", "K:E:Y")
	f("group-a:group-b:KEY", "group-a", "group-b:KEY")
	f("group-a::KEY", "group-a", ":KEY")
	f("nobody:KEY", "", "nobody:KEY")
	f("nobody:group-a:KEY", "", "nobody:group-a:KEY")
	f("Group-A:KEY", "", "Group-A:KEY")
	f(" group-a:KEY", "", " group-a:KEY")
	f(":KEY", "", ":KEY")
	f(":", "", ":")
}
