package proxy

import (
	"bytes"

	"gemini-resilient-proxy/stream"
)

// isChat tells whether the request is one of the OpenAI-compatible surface
// (https://ai.google.dev/gemini-api/docs/openai), on the Gemini API's path, on
// Vertex AI's or on that of a gateway.
func (e *exchange) isChat() bool {
	return string(e.method) == "POST" && bytes.HasSuffix(e.path, []byte("/chat/completions"))
}

// chat tells whether the request is one for a chat completion.
func (h *healer) chat() bool { return h.form.Dialect == stream.OpenAI }
