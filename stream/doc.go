// Package stream knows the bytes of a Gemini answer and nothing else: it cuts
// events out of a byte stream, be they server-sent or elements of an array,
// reads what one event says, keeps the record of what a client was given,
// decides whether an answer is complete, and writes the request that asks a
// model to go on.
//
// It has no network, no clock, no goroutine and no log. Bytes go in, bytes
// and verdicts come out; package proxy moves them.
//
// The life of one event:
//
//	Reader.Next    cuts one event out of the bytes read so far (aliases them),
//	               by a Scanner or an ArrayScanner
//	Chunk.Parse    one pass over its JSON: finish, text, parts, usage, error;
//	               left out for an event that fits the mold of the one before
//	Splice.Take    decides: deliver, hold back, or call the attempt over
//	               and appends to the outgoing bytes what the client may see
//	Transcript     remembers the answer text that was delivered
//
// and of one interruption:
//
//	Splice.End             says how the attempt ended, by content
//	AppendContinuation     edits the client's own request so that the model
//	                       goes on from the transcript
//	Splice.NextAttempt     the events that follow belong to one response:
//	                       first responseId, summed usage, thoughts once
//	Splice.Continue        says what is continued: the first text is held until
//	                       it is known how it joins, and what it repeats is
//	                       dropped
//	Splice.Settle          ends the holding when it has lasted long enough
//	Splice.AppendHeld      when there is nothing more to try: the held event,
//	                       else AppendFailure, the error that clients notice
//
// and of an answer that is one document and no stream:
//
//	Splice.TakeBody        takes it as one event, or what Salvage finds of one
//	                       that breaks off
//	Folder                 makes one response out of what was delivered
//
// A Form says what all of that looks like on the wire; it is picked once, from
// the request, and given to Splice.Reset and ParseRequest.
//
// The Interactions API resumes its streams itself; Interaction.Take passes on
// its events as they came and drops what is told twice.
//
// States of a Splice:
//
//	relaying --finish--> finished --end of body--> done
//	    |  ^
//	    |  +--NextAttempt--+
//	    +--interruption----+--> given up
//
// Nothing here is safe for concurrent use; one goroutine owns a value at a
// time. Every result that aliases an argument says so.
package stream
