package proxy

// RejectedSpans is the reader of a collector's answer.
var RejectedSpans = rejectedSpans
