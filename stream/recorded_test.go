package stream

import (
	"bufio"
	"encoding/json"
	"os"
	"testing"
)

// recording is one recorded answer of the API.
type recording struct {
	Source string `json:"src"`
	Status int    `json:"status"`
	Req    string `json:"req"`
	Body   string `json:"body"`
}

// recordings reads a file of recorded answers; the test is skipped where
// there is none.
func recordings(t testing.TB, name string) []recording {
	t.Helper()
	file, err := os.Open("../../shared/recorded/" + name)
	if err != nil {
		t.Skipf("no recorded answers here: %v", err)
	}
	defer file.Close()
	var all []recording
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 16<<20)
	for sc.Scan() {
		var r recording
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if err := sc.Err(); err != nil || len(all) == 0 {
		t.Fatalf("%d recordings, %v", len(all), err)
	}
	return all
}

func TestRecordedStreamsPassToTheByte(t *testing.T) {
	for _, r := range recordings(t, "streams.jsonl") {
		p := newPlayer()
		v := p.play(t, r.Body)
		if got := string(p.out); got != r.Body && p.held() == "" {
			t.Errorf("%s: changed on its way", r.Source)
		}
		if p.held() == "" && v != Complete && v != Policy || p.held() != "" && v != Finish && v != Empty {
			t.Errorf("%s: verdict %s, held %q", r.Source, v, p.held())
		}
		if got := string(p.out) + p.held(); got != r.Body {
			t.Errorf("%s: bytes lost or made up", r.Source)
		}
	}
}

func TestRecordedStreamsCutAnywhereAreNeverComplete(t *testing.T) {
	for _, r := range recordings(t, "streams.jsonl") {
		body := r.Body
		last := lastEvent(body)
		// The cuts inside the last event are the ones that matter.
		for cut := max(0, last-3); cut < len(body); cut += 1 + len(body)/200 {
			p := newPlayer()
			v := p.play(t, body[:cut])
			whole := json.Valid([]byte(body[min(last+6, cut):cut]))
			if v != Cut && !whole {
				t.Fatalf("%s cut at %d of %d: %s", r.Source, cut, len(body), v)
			}
			if body[:len(p.out)] != string(p.out) && !whole {
				t.Fatalf("%s cut at %d: the client got what was never sent", r.Source, cut)
			}
		}
	}
}

// lastEvent returns the offset of the last event of a stream that is framed
// as the API frames it.
func lastEvent(body string) int {
	last := 0
	for i := 0; i+4 < len(body); i++ {
		if body[i:i+4] == "\r\n\r\n" {
			last = i + 4
		}
	}
	return last
}
