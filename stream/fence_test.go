package stream

import (
	"strings"
	"testing"
)

func TestCodeGoesOnInTheFenceThatIsOpen(t *testing.T) {
	const answer = "Here you are:\n\n```python\ndef f(x):\n    y = x + 1\n    return y * 3\n```\nThis adds one, and more."
	f := seamTest(t, anchored)
	from := strings.Index(answer, "def")
	for cut := from; cut < strings.Index(answer, "\n```\n"); cut++ {
		rest := answer[cut:]
		a, _ := anchorOf([]byte(answer[:cut]))
		f(SeamDirect, answer[:cut], rest, "```python\n"+rest)
		f(SeamDirect, answer[:cut], rest, "\n```", "python \n", rest)
		if !strings.HasPrefix(rest, " ") && !strings.HasSuffix(answer[:cut], " ") && !strings.HasSuffix(answer[:cut], "\n") {
			f(SeamExact, answer[:cut], rest, "```python\n"+string(a)+rest)
		}
	}
	in := answer[:from+20]
	// Another fence is the answer's, and so is one where none is open.
	for _, fence := range []string{"```\n", "```py\n", "```python3\n", "```python", "``` ", "````python\n", "~~~python\n"} {
		f(SeamDirect, in, fence+"and so on", fence+"and so on")
	}
	for _, before := range []string{
		"Here you are:\n\n", answer + "\n", "Two:\n```\nx", "Two: ```python``` is", "And ```python", "````md\nHow to:\n", "```md\n```python\nx\n```\n",
	} {
		f(SeamDirect, before, "```python\nprint(1)\n```", "```python\nprint(1)\n```")
	}
}

func TestOpenFence(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if got := string(openFence([]byte(text))); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	f("", "")
	f("```go", "")
	f("```go\n", "```go")
	f("a\n  ```go \r\nx", "```go")
	f("```\nx", "")
	f("```go\nx\n```\n", "")
	f("```go\nx\n```", "```go")
	f("```go\nx\n````\n", "")
	f("````go\nx\n```\n", "````go")
	f("```md\n```go\n", "```md")
	f("```md\n```go\nx\n```\n", "")
	f("```a``` b\n", "")
	f("```\n```go\n```\n```c\n", "```c")
}
