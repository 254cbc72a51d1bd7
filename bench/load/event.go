package main

import (
	"math/rand/v2"
	"strings"
)

// An event of the load upstream: the parts around its text.
const (
	eventHead = `data: {"candidates": [{"content": {"parts": [{"text": "`
	eventTail = `"}],"role": "model"},"index": 0}],"usageMetadata": {"promptTokenCount": 7,"totalTokenCount": 19},` +
		`"modelVersion": "gemini-2.5-flash","responseId": "U7-Fao_EK_-VvdIP1-aJ8Qo"}` + "\r\n\r\n"
	finishEvent = `data: {"candidates": [{"content": {"parts": [{"text": "."}],"role": "model"},"finishReason": "STOP","index": 0}],` +
		`"usageMetadata": {"promptTokenCount": 7,"candidatesTokenCount": 12,"totalTokenCount": 19},` +
		`"modelVersion": "gemini-2.5-flash","responseId": "U7-Fao_EK_-VvdIP1-aJ8Qo"}` + "\r\n\r\n"
)

// maxEvent bounds the size of an event, in bytes.
const maxEvent = 32 << 10

// prose is words in no order, which need no escaping in JSON and do not repeat
// themselves, as a long answer does not.
var prose = func() string {
	words := strings.Fields(`the light of a small thing that nobody saw in time because it was there all along and
		then went on to become water under bridges which people cross without looking while birds count clouds`)
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < 4*maxEvent {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()
}()

// appendEvent appends an event of about size bytes that carries m.
func appendEvent(dst []byte, m mark, size int) []byte {
	start := len(dst)
	dst = append(dst, eventHead...)
	dst = m.append(dst)
	dst = append(dst, ' ')
	if n := size - (len(dst) - start) - len(eventTail); n > 0 {
		from := m.seq * 997 % (len(prose) - maxEvent)
		dst = append(dst, prose[from:from+n]...)
	}
	return append(dst, eventTail...)
}

// appendChunk appends data as one chunk of a chunked body.
func appendChunk(dst, data []byte) []byte {
	const digits = "0123456789abcdef"
	shift := 0
	for len(data)>>shift > 15 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, digits[len(data)>>shift&15])
	}
	dst = append(dst, '\r', '\n')
	dst = append(dst, data...)
	return append(dst, '\r', '\n')
}
