package stream

import (
	"strings"
	"testing"
)

// The vectors of web-platform-tests, eventsource/format-*, as far as they are
// about data.

func TestWPTFields(t *testing.T) {
	f := scanTest(t)
	// format-field-parsing
	f("data:\x00\ndata:  2\rData:1\ndata\x00:2\ndata:1\r\x00data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n data:32\ndata:4\n\n",
		"", "\x00\n 2\n1\n3\n\n4")
	// format-leading-space
	f("data:\ttest\rdata: \ndata:test\n\n", "", "\ttest\n\ntest")
	// format-field-data
	f("data:\n\ndata\ndata\n\ndata:test\n\n", "", "", "\n", "test")
	// format-field-event, -event-empty, -unknown
	f("event:test\ndata:x\n\ndata:x\n\n", "", "x", "x")
	f("event: \ndata:data\n\n", "", "data")
	f("data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\n\n", "", "test\n")
	// format-field-id, -id-2, -id-3, -id-null
	f("id: 1\r\ndata: 1\r\n\r\nid\ndata: 2\n\ndata:3\n\n", "", "1", "2", "3")
	f("id:a\x00b\ndata:hello\n\n", "", "hello")
	// format-field-retry, -retry-bogus, -retry-empty
	f("retry:2000\nretry:1000x\n\nretry\ndata:test\n\n", "", "test")
	// An event without data is none.
	f("event:x\n\nid:7\n\ndata:z\n\n", "", "z")
	// event-data
	f("data:msg\ndata: msg\n\n:\n\ndata:\n\ndata:end\n\n", "", "msg\nmsg", "", "end")
	// format-null-character, format-utf-8
	f("data:\x00\n\n", "", "\x00")
	f("data:ok…\n\n", "", "ok…")
}

func TestWPTNewlines(t *testing.T) {
	f := scanTest(t)
	// format-newlines: the lone CR closes the event at once.
	f("data:test\r\ndata\ndata:test\r\n\r", "", "test\n\ntest")
	f("data:test\r\n\r", "", "test")
	f("data:test\n\r", "", "test")
	f("data:test\r\r", "", "test")
	f("data:test\r\n\r\n", "", "test")
	f("data:1\r\n\r\n\r\ndata:2\r\n\r\n", "", "1", "2")
}

func TestWPTByteOrderMark(t *testing.T) {
	const bom = "\xef\xbb\xbf"
	f := scanTest(t)
	// format-bom: only the first is dropped, the second hides a field.
	f(bom+"data:1\n\n"+bom+"data:2\n\ndata:3\n\n", "", "1", "3")
	// format-bom-2
	f(bom+bom+"data:1\n\ndata:2\n\ndata:3\n\n", "", "2", "3")
	f(bom, "")
	f(bom+"{}", "", "bare {}")
	f("\xef\xbb{}\ndata:1\n\n", "", "1")
}

func TestWPTComments(t *testing.T) {
	f := scanTest(t)
	x := strings.Repeat("x", 200)
	f("data:1\r:\x00\n:\r\ndata:2\n:"+x+"\rdata:3\n:data:fail\r:"+x+"\ndata:4\n\n", "", "1\n2\n3\n4")
}

func TestWPTEndOfStream(t *testing.T) {
	f := scanTest(t)
	// format-data-before-final-empty-line: not an event, but Rest tells.
	f("retry:1000\ndata:test1\n\nid:test\ndata:test2", "test2", "test1")
	f("data:a\n\ndata:b\n", "b", "a")
}

func TestScannerFindsBareJSON(t *testing.T) {
	f := scanTest(t)
	const pretty = "{\n  \"error\": {\n    \"code\": 503,\n    \"message\": \"over}\\\"{[ \\\\\",\n    \"details\": [\n      {}\n    ]\n  }\n}"
	f(pretty, "", "bare "+pretty)
	f(sse(`{"a": 1}`)+pretty+"\n", "", `{"a": 1}`, "bare "+pretty)
	f(sse(`1`)+"\r\n"+pretty+"\r\n"+sse("2"), "", "1", "bare "+pretty, "2")
	f(pretty+pretty, "", "bare "+pretty, "bare "+pretty)
	crlf := strings.ReplaceAll(pretty, "\n", "\r\n")
	f(sse("1")+crlf+"\r\n", "", "1", "bare "+crlf)
	// In an array, as the API's array surface wraps it.
	f(`[{"error": {"code": 500}}]`, "", `bare [{"error": {"code": 500}}]`)
	f(sse("1")+"[{\n  \"error\": {}\n}\n]\n", "", "1", "bare [{\n  \"error\": {}\n}\n]")
	// Behind blanks, but not behind anything else.
	f("  {}", "", "bare {}")
	f(" \t \t{\"a\": [\" \"]}", "", "bare {\"a\": [\" \"]}")
	f("   \n {}\n", "", "bare {}")
	f("  x {}\n", "")
	f("x{}\ndata: 1\n\n", "", "1")
	f(" data: 1\n\n", "")
	f(",\n{}\n", "", "bare {}")
	// Inside an event it is a line without a field name that counts.
	f("data: 1\n{}\n\n", "", "1")
	f(": {\n\ndata: {\n\n", "", "{")
}
