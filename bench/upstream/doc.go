// Package upstream is a scripted Gemini API on loopback, for tests, the
// demonstration and load.
//
// It is a raw HTTP/1.1 server: requests are parsed from the connection, answers
// are lists of steps, and every byte, write and end of an answer is chosen by
// the script. That makes the faults possible which net/http's server cannot
// produce: a reset after an exact byte, a close inside a chunk-size line, half
// an event, malformed chunking, silence.
//
// A script for each request comes from a Handler:
//
//	up, err := upstream.New(func(r *upstream.Request) upstream.Script {
//		if r.Seq == 0 { // the first attempt is cut in the middle of an event
//			return upstream.Script{
//				upstream.LimitBody(300, upstream.RST),
//				upstream.Text("Once upon "),
//				upstream.Text("a time"),
//				upstream.Finish("STOP"),
//			}
//		}
//		return upstream.Script{
//			upstream.Text("a time"),
//			upstream.Pause(20 * time.Millisecond),
//			upstream.TextFinish(" there was.", "STOP"),
//		}
//	})
//	defer up.Close()
//
// Model is a ready-made Handler with one fixed answer which it really continues
// when a request asks it to. Faulty is one whose answers break in the way that
// the model's name ends with, so that clients choose their fault.
//
// Events take the form of a stream of events unless an As step says another:
// the same script can be played on every Surface of the API.
//
// # The life of one request
//
// The head is read and kept as it came; the body is read (or handed to a
// Streamer) and summed; the request is recorded; the Handler returns a script;
// the steps are played in order, each Send or event in one write, while a second
// goroutine reads ahead so that Request.Gone closes when the peer leaves; the
// connection is then kept, closed or reset as the script said.
//
// A head is written only when a step needs one. The first data step of a script
// without a Head writes the head of a Gemini stream in the same write as its
// data. A script without an ending step ends with End. Playing stops early when
// the peer has gone or the Upstream is closed. A peer that shuts only its
// sending side counts as gone.
//
// # Concurrency
//
// Upstream, Request and Model are safe for concurrent use, the fields of a
// Request as said there. A Script holds no state of an answer: one Script may be
// returned for any number of requests. Handlers run on the goroutine of their
// connection; Upstream.Close waits for them.
//
// The package knows nothing of the proxy it serves and imports the standard
// library alone.
package upstream
