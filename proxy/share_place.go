package proxy

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strings"
	"time"

	"gemini-resilient-proxy/routing"
)

// shelf is where in the server an origin is kept: what there is much of pushes
// nothing else out.
type shelf uint8

const (
	shelfKept         shelf = iota // uploads, and what the API keeps until it is told otherwise
	shelfInteractions              // one for each request of that surface
	shelfTurns                     // thought signatures and tokens of long decodes
	shelves
)

var shelfNames = [shelves]string{"kept", "interactions", "turns"}

// How long origins are kept. The API keeps a file for 48 hours
// (https://ai.google.dev/gemini-api/docs/files), and what a batch makes is one; an
// upload has to be over by then. It keeps an interaction for up to 55 days
// (https://ai.google.dev/gemini-api/docs/interactions), and the rest for as long
// as the client says. Of signatures and tokens it says nothing: a conversation
// that rests for longer than a week goes on like one that is new here.
const (
	keepFile = 48 * time.Hour
	keepLong = 55 * 24 * time.Hour
	keepTurn = 7 * 24 * time.Hour
)

// shelfOf returns where the origin of a value is kept, and for how long. The value
// is as Origins know it.
func shelfOf(value []byte) (shelf, time.Duration) {
	name, isKept := bytes.CutPrefix(value, keptMark)
	switch {
	case bytes.HasPrefix(value, uploadMark), isKept && bytes.HasPrefix(name, []byte("files/")):
		return shelfKept, keepFile
	case isKept && bytes.HasPrefix(name, []byte("interactions/")):
		return shelfInteractions, keepLong
	case isKept:
		return shelfKept, keepLong
	}
	return shelfTurns, keepTurn
}

// shortName is a hash like shareName, for what there is a lot of.
func shortName(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// valueName is the name of a value in the server.
func valueName(value []byte) string {
	return shortName("origin", string(routing.AppendPlain(nil, value)))
}

// noKeyName stands for a key of the client's own.
const noKeyName = "-"

// placeName is an origin in the server: its target, its key, and the client that
// it was made for, if any, all by hashes that replicas of the same configuration
// agree on. It is empty when st does not have the place. name is that of the
// value which came from there.
func placeName(st *state, name string, o routing.Origin) string {
	g := st.groups[o.Group]
	if g == nil {
		return ""
	}
	key := noKeyName
	if o.Key != "" && g.keys != nil {
		i := g.keys.Index(o.Key)
		if i == routing.NoKey {
			return ""
		}
		key = shortName("key", g.Name, string([]byte(g.keys.Secret(i))))
	}
	place := shortName("target", g.Name, o.Target) + " " + key
	if o.Client == "" {
		return place
	}
	if c := st.clients.Named(o.Client); c != nil {
		place += " " + shortName("client", c.Name) + " " + clientProof(c, name, place)
	}
	return place
}

// clientProof shows that a replica which knows the client has written the place:
// whoever goes on with an upload acts for the client that began it, and the
// server cannot say who that is.
func clientProof(c *routing.Client, name, place string) string {
	mac := hmac.New(sha256.New, c.Hash[:])
	mac.Write([]byte("upload\x00" + name + "\x00" + place))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// sharedPlaces are the places of a state by their names in the server.
type sharedPlaces struct {
	targets, keys map[string]routing.Origin
	clients       map[string]*routing.Client
}

func newSharedPlaces(st *state) *sharedPlaces {
	p := &sharedPlaces{targets: map[string]routing.Origin{}, keys: map[string]routing.Origin{}, clients: map[string]*routing.Client{}}
	for _, g := range st.groups {
		for _, t := range g.targets {
			p.targets[shortName("target", g.Name, t.Name)] = routing.Origin{Group: g.Name, Target: t.Name}
		}
		for i := 0; g.keys != nil && i < g.keys.Len(); i++ {
			name := shortName("key", g.Name, string([]byte(g.keys.Secret(i))))
			p.keys[name] = routing.Origin{Group: g.Name, Key: g.keys.Name(i)}
		}
	}
	for _, c := range st.clients.All() {
		p.clients[shortName("client", c.Name)] = c
	}
	return p
}

// origin returns what placeName was made of. known is false for a place that is
// none here: the configurations may differ for a while. A key that is not here
// leaves the target.
func (p *sharedPlaces) origin(name, place string) (o routing.Origin, known bool) {
	parts := strings.Split(place, " ")
	if len(parts) != 2 && len(parts) != 4 {
		return o, false
	}
	if o, known = p.targets[parts[0]]; !known {
		return o, false
	}
	if k := p.keys[parts[1]]; k.Group == o.Group {
		o.Key = k.Key
	}
	if len(parts) == 4 {
		c := p.clients[parts[2]]
		if c == nil || subtle.ConstantTimeCompare([]byte(clientProof(c, name, parts[0]+" "+parts[1])), []byte(parts[3])) != 1 {
			return routing.Origin{}, false
		}
		o.Client = c.Name
	}
	return o, true
}
