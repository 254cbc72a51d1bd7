package stream

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// preambleAtMost is how many runes a model may say before it repeats words.
const preambleAtMost = 200

// Anchors of fewer runes than shortAnchor are believed only where they are
// announced, others below sureAnchor behind a remark of at most remarkAtMost
// runes too. From markedAnchor on they are behind what opens a quote, and all are
// behind the mark of the prompt.
const (
	markedAnchor = 4
	shortAnchor  = 8
	remarkAtMost = 40
)

// sameWay is how many runes before a repeat, the same as before the original,
// make it likely that the text says the words again rather than repeats them.
const sameWay = 4

// findAnchor looks for the anchor behind something that a model said first.
// Only one that stands once in the answer is believed there, and a short one
// only where little else could have come.
func (m *matcher) findAnchor(text []byte) (at span, ok bool) {
	if !m.unique || len(m.wantAnchor) < 2 {
		return span{}, false
	}
	i := bytes.Index(m.text.text, m.wantAnchor)
	if i < 0 {
		return span{}, false
	}
	at = m.where(text, i, len(m.wantAnchor))
	if m.document && m.goesOnWith(text[:at.from]) {
		return span{}, false
	}
	switch n := utf8.RuneCount(m.anchor); {
	case isMark(text[:at.from]) && (n >= markedAnchor || bytes.HasSuffix(text[:at.from], []byte(openMark))):
		return at, true
	case n < shortAnchor:
		return at, m.isAnnounced(text[:at.from])
	case n < sureAnchor:
		return at, m.isAnnounced(text[:at.from]) || m.isRemark(text[:at.from])
	}
	if m.repeatsBefore(i) {
		return at, !m.isSecond(at.to+len(m.blank)) &&
			!m.isSecond(len(bytes.TrimLeftFunc(text[:at.to], isBlank))+len(m.blank))
	}
	return at, m.isPreamble(text[:at.from])
}

// where returns the range of text that n bytes of its folded form at i stand for.
func (m *matcher) where(text []byte, i, n int) span {
	from, to := m.text.end(i), m.text.end(i+n)
	if m.text.tight {
		from = to - len(bytes.TrimLeftFunc(text[from:to], isBlank))
	}
	return span{from, to}
}

// isRemark tells whether text is what a model says before it gets to work: a
// few words that do not go on with the sentence, or no word at all.
func (m *matcher) isRemark(text []byte) bool {
	_, long := firstRunes(text, remarkAtMost+1)
	return !long && !m.goesOn(text) && m.mayRemark(text)
}

// mayRemark tells whether a remark may begin with text. In a document it is what
// does not go on with that, see goesOnWith.
func (m *matcher) mayRemark(text []byte) bool {
	return m.document || beginsRemark(text) && ofSentences(text)
}

// ofSentences tells whether each line of text ends as sentences, titles and rules
// do, where there are more than one. The last need not have come to its end.
func ofSentences(text []byte) bool {
	text = bytes.TrimLeftFunc(text, isBlank)
	if bytes.IndexByte(bytes.TrimRightFunc(text, isBlank), '\n') < 0 {
		return true
	}
	for line, rest, whole := bytes.Cut(text, []byte{'\n'}); whole; line, rest, whole = bytes.Cut(rest, []byte{'\n'}) {
		line = bytes.TrimFunc(line, isBlank)
		if len(line) > 0 && line[0] != '#' && !endsSentence(line) {
			return false
		}
	}
	return true
}

// endsSentence tells whether text ends as a sentence does, or in marks.
func endsSentence(text []byte) bool {
	last, _ := utf8.DecodeLastRune(bytes.TrimRightFunc(text, isBlank))
	return bytes.ContainsRune([]byte(".!?:,…。！？：，-–—*_`>\""), last)
}

// beginsRemark tells whether a remark may begin with text, which may be nothing but
// white space: with a word that is written as one in a sentence is.
func beginsRemark(text []byte) bool {
	all := text
	text = bytes.TrimLeft(bytes.TrimLeftFunc(text, isBlank), "*_#>-<[(\"'`. \n")
	rest := bytes.TrimLeftFunc(text, unicode.IsLetter)
	word := text[:len(text)-len(rest)]
	begin, _ := utf8.DecodeRune(all)
	first, n := utf8.DecodeRune(word)
	next, _ := utf8.DecodeRune(rest)
	switch {
	case len(text) == 0:
		return true
	case isBlank(begin):
		return false
	case len(word) == 0:
		return next >= utf8.RuneSelf && !unicode.IsMark(next) && !unicode.IsDigit(next)
	case unicode.IsLower(first) || bytes.IndexFunc(word[n:], unicode.IsUpper) >= 0 && string(word) != "OK":
		return false
	}
	return len(rest) == 0 || next >= utf8.RuneSelf || bytes.ContainsRune([]byte(" \n,.!?:;-'*_)]\""), next)
}

// isMark tells whether text is nothing but what opens a quote, or stands for
// words that are left out: the anchor is then quoted.
func isMark(text []byte) bool {
	text = bytes.TrimFunc(text, isBlank)
	if len(text) == 0 {
		return false
	}
	text = bytes.ReplaceAll(text, []byte("..."), nil)
	return len(bytes.Trim(text, "\"'`“‘„«「『…<*_>")) == 0
}

// isAnnounced tells whether text announces what follows it on the next line.
func (m *matcher) isAnnounced(text []byte) bool {
	words := bytes.TrimRightFunc(text, isBlank)
	return len(words) > 0 && m.announces(words) && bytes.IndexByte(text[len(words):], '\n') >= 0
}

// repeatsBefore tells whether the first n bytes of the folded text stand
// before the anchor too: the model began its repeat farther back.
func (m *matcher) repeatsBefore(n int) bool {
	return bytes.HasSuffix(m.before, bytes.TrimLeft(m.text.text[:n], " "))
}

// isPreamble tells whether the anchor that follows text follows it as a quote
// does. A text that merely comes to say the same words again mostly comes to
// them by the same way: what stands before them is what stood there the first
// time. Then only the end of a line or the opening of a quote tells, and when
// it goes on as a sentence does, only an announcement.
func (m *matcher) isPreamble(text []byte) bool {
	words := m.strange(text)
	if _, long := firstRunes(words, preambleAtMost+1); long {
		return false
	}
	if m.goesOn(text) || !m.mayRemark(words) {
		return m.isAnnounced(text)
	}
	if shared := bytes.TrimFunc(text[len(words):], isBlank); utf8.RuneCount(shared) < sameWay && endsSentence(words) {
		return true
	}
	return breaksOff(words) || m.cannotGoOn(text)
}

// cannotGoOn tells whether text cannot be the next words: a capital letter does not
// follow a small one, or a comma, without a space.
func (m *matcher) cannotGoOn(text []byte) bool {
	last, _ := utf8.DecodeLastRune(m.delivered)
	first, _ := utf8.DecodeRune(text)
	return (unicode.IsLower(last) || last == ',') && unicode.IsUpper(first)
}

// breaksOff tells whether text ends in the end of a line or the opening of a
// quote, or is nothing but white space.
func breaksOff(text []byte) bool {
	words := bytes.TrimRightFunc(text, isBlank)
	if len(words) == 0 || bytes.IndexByte(text[len(words):], '\n') >= 0 {
		return true
	}
	r, _ := utf8.DecodeLastRune(words)
	return bytes.ContainsRune([]byte(":：,…—–-*_>`\"'“‘„«「『("), r) || bytes.HasSuffix(words, []byte("...")) || bytes.HasSuffix(words, []byte(openMark))
}

// strange returns text without the end that it shares with what was delivered
// before the anchor.
func (m *matcher) strange(text []byte) []byte {
	before := m.delivered[:len(m.delivered)-len(m.anchor)]
	n := len(text)
	for n > 0 && len(before) > 0 && text[n-1] == before[len(before)-1] {
		n, before = n-1, before[:len(before)-1]
	}
	return text[:n]
}

// openMark and closeMark stand around the anchor in the prompt that this program
// has of its own, and around its repeat when a model takes them for a part of it.
const openMark, closeMark = "<<<", ">>>"

// boldMark begins and ends bold words in Markdown.
const boldMark = "**"

// quotes are the ends of quotes by their beginnings.
var quotes = map[rune]string{
	'"': `"`, '\'': "'", '`': "`", '“': "”", '‘': "’", '„': "“", '«': "»", '「': "」", '『': "』",
}

// inQuote tells whether the delivered text breaks off inside a quote of its
// own: what ends it is no end of the model's.
func (m *matcher) inQuote(end string) bool {
	if end == boldMark {
		paragraph := m.delivered[bytes.LastIndex(m.delivered, []byte("\n\n"))+1:]
		return bytes.Count(paragraph, []byte(end))%2 == 1
	}
	return bytes.Count(m.anchor, []byte(end))%2 == 1
}

// quoteBefore returns the end of the quote that a preamble opens at its end,
// "" when it opens none.
func (m *matcher) quoteBefore(text []byte) string {
	words := bytes.TrimRight(bytes.TrimSuffix(m.strange(text), []byte("…")), ".")
	if bytes.HasSuffix(words, []byte(openMark)) {
		return closeMark
	}
	r, n := utf8.DecodeLastRune(words)
	if bytes.HasSuffix(words, []byte(boldMark)) {
		return boldMark
	}
	if p, _ := utf8.DecodeLastRune(words[:len(words)-n]); p == r {
		// A fence, or a quote that is empty.
		return ""
	}
	return quotes[r]
}

// findHead looks for the answer from its beginning, maybe behind the
// announcement that it follows.
func (m *matcher) findHead(text []byte) (at span, ok bool) {
	if len(m.wantHead) == 0 {
		return span{}, false
	}
	i := bytes.Index(m.text.text, m.wantHead)
	if i < 0 {
		return span{}, false
	}
	at = m.where(text, i, len(m.wantHead))
	words := bytes.TrimRightFunc(text[:at.from], isBlank)
	if len(words) == 0 {
		return at, !m.repeats.goesOn(m.delivered, text[:at.to])
	}
	return at, m.isAnnounced(text[:at.from])
}

// announces tells whether the answer may be expected after words on a line of
// its own.
func (m *matcher) announces(words []byte) bool {
	if _, long := firstRunes(words, preambleAtMost+1); long {
		return false
	}
	line := words[bytes.LastIndexByte(words, '\n')+1:]
	if bytes.HasPrefix(line, []byte("```")) || string(line) == "---" {
		return true
	}
	return beginsRemark(line) && (bytes.HasSuffix(line, []byte(":")) || bytes.HasSuffix(line, []byte("：")))
}
