// Command go holds conversations with google.golang.org/genai and prints how
// each went. The plan is on standard input, a report a line goes to standard
// output; plan.go above describes both.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/genai"
)

type job struct {
	ID       string `json:"id"`
	Patience int    `json:"patience"`
	Call     string `json:"call"`
	Model    string `json:"model"`
	First    string `json:"first"`
	Second   string `json:"second"`
	Tool     bool   `json:"tool"`
}

type plan struct {
	URL      string `json:"url"`
	Parallel int    `json:"parallel"`
	Jobs     []job  `json:"jobs"`
}

type report struct {
	ID     string   `json:"id"`
	Text   string   `json:"text"`
	Finish string   `json:"finish"`
	Calls  []string `json:"calls"`
	Error  string   `json:"error"`
	Hung   bool     `json:"hung"`
	Later  string   `json:"later"`
}

func main() {
	var p plan
	if err := json.NewDecoder(os.Stdin).Decode(&p); err != nil {
		fmt.Fprintln(os.Stderr, "read plan:", err)
		os.Exit(1)
	}
	var (
		wg    sync.WaitGroup
		print sync.Mutex
		slots = make(chan struct{}, p.Parallel)
	)
	for _, j := range p.Jobs {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			r := p.converse(j)
			print.Lock()
			defer print.Unlock()
			json.NewEncoder(os.Stdout).Encode(r)
		})
	}
	wg.Wait()
}

// converse asks the first question, answers a function call if one comes, and
// asks the second question unless the first ended with an error.
func (p plan) converse(j job) (r report) {
	r.ID = j.ID
	chat, err := p.start(j)
	if err == nil {
		err = p.talk(chat, j, &r)
	}
	if err != nil {
		r.Error = err.Error()
		r.Hung = errors.Is(err, context.DeadlineExceeded)
	}
	return r
}

func (p plan) start(j job) (*genai.Chat, error) {
	backend := genai.BackendGeminiAPI
	if j.Call == "vertex" {
		backend = genai.BackendVertexAI // with a key and without a project: express mode
	}
	client, err := genai.NewClient(context.Background(), &genai.ClientConfig{
		APIKey:      "key",
		Backend:     backend,
		HTTPOptions: genai.HTTPOptions{BaseURL: p.URL},
	})
	if err != nil {
		return nil, err
	}
	config := &genai.GenerateContentConfig{}
	if j.Tool {
		config.Tools = []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{
			Name:                 "get_weather",
			Description:          "The weather in a city.",
			ParametersJsonSchema: map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}},
		}}}}
	}
	return client.Chats.Create(context.Background(), j.Model, config, nil)
}

func (p plan) talk(chat *genai.Chat, j job, r *report) error {
	got, err := p.send(chat, j, genai.Part{Text: j.First})
	if err != nil {
		return err
	}
	if got.calls != nil {
		var parts []genai.Part
		for _, c := range got.calls {
			r.Calls = append(r.Calls, c.Name)
			parts = append(parts, *genai.NewPartFromFunctionResponse(c.Name, map[string]any{"weather": "rain"}))
		}
		if got, err = p.send(chat, j, parts...); err != nil {
			return err
		}
	}
	r.Text, r.Finish = got.text.String(), strings.ToLower(got.finish)
	if got, err = p.send(chat, j, genai.Part{Text: j.Second}); err == nil {
		r.Later = got.text.String()
	}
	return err
}

// answer is what came of one message.
type answer struct {
	text   strings.Builder
	finish string
	calls  []*genai.FunctionCall
}

func (p plan) send(chat *genai.Chat, j job, parts ...genai.Part) (*answer, error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	// A deadline would be sent to the API; this is the test's own patience.
	timer := time.AfterFunc(time.Duration(j.Patience)*time.Second, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	var got answer
	for response, err := range responses(ctx, chat, j.Call, parts) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, err
		}
		got.add(response)
	}
	return &got, context.Cause(ctx)
}

func responses(ctx context.Context, chat *genai.Chat, call string, parts []genai.Part) iter.Seq2[*genai.GenerateContentResponse, error] {
	if call != "whole" {
		return chat.SendMessageStream(ctx, parts...)
	}
	return func(yield func(*genai.GenerateContentResponse, error) bool) { yield(chat.SendMessage(ctx, parts...)) }
}

func (a *answer) add(r *genai.GenerateContentResponse) {
	if len(r.Candidates) == 0 {
		return
	}
	c := r.Candidates[0]
	if c.FinishReason != "" {
		a.finish = string(c.FinishReason)
	}
	if c.Content == nil {
		return
	}
	for _, part := range c.Content.Parts {
		if !part.Thought {
			a.text.WriteString(part.Text)
		}
		if part.FunctionCall != nil {
			a.calls = append(a.calls, part.FunctionCall)
		}
	}
}
