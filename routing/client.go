package routing

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// ClientSpec is what the configuration says of a client of the proxy.
type ClientSpec struct {
	// Name is the client's name in logs and metrics.
	Name string
	// Hash is the SHA-256 of its token.
	Hash [sha256.Size]byte
	// Groups and Models are what it may use; empty allows all. A model that
	// ends in "*" stands for all that begin so.
	Groups, Models []string
	// PerMinute is how many requests it may begin within a minute; 0 is no
	// limit.
	PerMinute int
	// Streams is how many may run at once; 0 is no limit.
	Streams int
}

// Client is a client of the proxy. It is safe for concurrent use.
type Client struct {
	ClientSpec

	mu      sync.Mutex
	started meter
}

// Clients are all clients of the proxy. They are safe for concurrent use.
type Clients struct {
	list []*Client
}

// NewClients returns the given clients.
func NewClients(specs []ClientSpec) *Clients {
	c := &Clients{list: make([]*Client, len(specs))}
	for i, s := range specs {
		c.list[i] = &Client{ClientSpec: s, started: newMeter(time.Minute)}
	}
	return c
}

// ParseTokenHash reads a token's hash as "sha256:" and 64 hexadecimal digits.
// The error does not repeat it.
func ParseTokenHash(s string) (hash [sha256.Size]byte, err error) {
	digits, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(digits) != 2*len(hash) {
		return hash, errTokenHash
	}
	if _, err = hex.Decode(hash[:], []byte(digits)); err != nil {
		return hash, errTokenHash
	}
	if hash == sha256.Sum256(nil) {
		return hash, errNoToken
	}
	return hash, nil
}

var (
	errTokenHash = errors.New(`must be "sha256:" and the 64 hexadecimal digits of the token's SHA-256`)
	errNoToken   = errors.New("is the SHA-256 of nothing: whoever sends no token would have it")
)

// HashToken returns the hash of a token as ParseTokenHash reads it.
func HashToken(token []byte) string {
	sum := sha256.Sum256(token)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Len returns the number of clients.
func (c *Clients) Len() int {
	if c == nil {
		return 0
	}
	return len(c.list)
}

// All returns all clients.
func (c *Clients) All() []*Client {
	if c == nil {
		return nil
	}
	return c.list
}

// Find returns the client with the given token, or nil. It takes as long for a
// token that is nearly right as for any other: what is compared are hashes, each
// with all, and every byte of them. Nobody has the empty token.
func (c *Clients) Find(token []byte) *Client {
	if c.Len() == 0 || len(token) == 0 {
		return nil
	}
	sum := sha256.Sum256(token)
	found := -1
	for i, client := range c.list {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], client.Hash[:]), i, found)
	}
	if found < 0 {
		return nil
	}
	return c.list[found]
}

// Named returns the client of that name, or nil.
func (c *Clients) Named(name string) *Client {
	for _, client := range c.All() {
		if client.Name == name {
			return client
		}
	}
	return nil
}

// MayUse tells whether the client may send requests to the group.
func (c *Client) MayUse(group string) bool {
	return len(c.Groups) == 0 || slices.Contains(c.Groups, group)
}

// MayAsk tells whether the client may ask the model; "" is that of a request
// that names none, which all may send that have no list.
func (c *Client) MayAsk(model []byte) bool {
	if len(c.Models) == 0 {
		return true
	}
	for _, m := range c.Models {
		if prefix, all := strings.CutSuffix(m, "*"); all && strings.HasPrefix(string(model), prefix) || m == string(model) {
			return true
		}
	}
	return false
}

// Start counts a request and returns 0, or, when the client has begun as many
// within a minute as it may, the time after which it may begin one again.
func (c *Client) Start(now time.Time) (wait time.Duration) {
	if c.PerMinute == 0 {
		return 0
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if wait = c.started.wait(now, int64(c.PerMinute)); wait > 0 {
		c.started.miss()
		return wait
	}
	c.started.take(now)
	return 0
}

// Adopt takes over what old knows of the clients that are here too, by name,
// for a configuration that was loaded again.
func (c *Clients) Adopt(old *Clients) {
	if old == nil {
		return
	}
	for _, client := range c.list {
		for _, before := range old.list {
			if client.Name != before.Name {
				continue
			}
			before.mu.Lock()
			client.started.adopt(&before.started)
			before.mu.Unlock()
		}
	}
}
