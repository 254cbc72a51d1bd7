package main

import (
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"gemini-resilient-proxy/bench/upstream"
)

// firstAnswer is the text of every answer but the slow ones. It holds
// characters of several bytes, for the faults that cut inside one.
const firstAnswer = `Der Himmel ist blau, weil die Luft kurze Wellen des Lichts weit stärker streut als lange. ` +
	`Sunlight is a mix of all colours; on its way through the atmosphere its blue part is thrown about by the molecules, ` +
	`so that it reaches the eye from every direction, while the red part passes almost straight on. ` +
	`Am Abend hat das Licht einen längeren Weg: das Blau ist fort, ehe es ankommt, und was übrig bleibt, ist das Rot. ` +
	`Violet is scattered even more, but the sun sends less of it, the upper air keeps some, and our eyes care little for it. ` +
	`Mehr ist es nicht: keine Farbe, kein Spiegel, kein Meer, nur sehr kleine Dinge, die dem Licht im Wege sind.`

// longAnswer is the text of an answer that is read slowly: more than the
// buffers of the sockets on the way hold.
var longAnswer = func() string {
	words := strings.Fields(firstAnswer)
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	for b.Len() < 256<<10 {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}()

const (
	slowModel  = "gemini-3.8-flash-slow"
	pathUpload = "/upload/v1beta/files"
	pathShort  = "/v1beta/models/gemini-embedding-001:embedContent"
)

// shortAnswer is the body of what is only relayed.
var shortAnswer = `{"embedding": {"values": [` + strings.Repeat("0.125, ", 140) + `1]}}`

// scripted is the upstream of a run.
type scripted struct {
	*upstream.Upstream
	faulty upstream.Faulty
}

func newScripted() (*scripted, error) {
	s := &scripted{faulty: upstream.Faulty{First: firstAnswer}}
	slow := &upstream.Model{
		Answer: longAnswer, Piece: 1000, Repeat: 40,
		Fault: func(attempt int, r *upstream.Request) []upstream.Step {
			if attempt == 0 {
				return []upstream.Step{upstream.LimitBody(len(longAnswer)/2, upstream.RST)}
			}
			return nil
		},
	}
	up, err := upstream.New(func(r *upstream.Request) upstream.Script {
		switch {
		case strings.HasPrefix(r.Target, pathShort):
			return upstream.Script{upstream.Status(200, nil, shortAnswer)}
		case r.Model() == slowModel:
			return slow.Handle(r)
		}
		return s.faulty.Handle(r)
	})
	if err != nil {
		return nil, err
	}
	up.SetRecord(false)
	up.SetStreamer(takeUpload)
	s.Upstream = up
	return s, nil
}

// takeUpload reads uploads as they come and answers with their length and sum.
func takeUpload(r *upstream.Request, body io.Reader) upstream.Script {
	if !strings.HasPrefix(r.Target, pathUpload) {
		return nil
	}
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, body)
	if err != nil {
		return upstream.Script{upstream.Reset()}
	}
	return upstream.Script{upstream.Status(200, nil, uploadAnswer(n, sum.Sum32()))}
}

func uploadAnswer(n int64, sum uint32) string { return fmt.Sprintf(`{"bytes":%d,"sum":%d}`, n, sum) }

// settle waits until no request is open, for a while.
func (s *scripted) settle(d time.Duration) bool {
	return s.Await(d, func() bool { return s.Live() == 0 })
}
