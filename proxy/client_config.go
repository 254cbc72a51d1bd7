package proxy

import (
	"net"
	"net/netip"
	"strings"

	"gemini-resilient-proxy/routing"
)

// ClientConfig is a client that may use the groups that have keys.
type ClientConfig struct {
	routing.ClientSpec

	// tokenBad says that the token could not be read, which was said already.
	tokenBad bool
	// origin is where the client was written, for one of a file.
	origin string
}

func (c *ClientConfig) place() string {
	if c.origin == "" {
		return "client " + settingValue(c.Name)
	}
	return c.origin + ": client " + settingValue(c.Name)
}

// checkClients checks who may use the groups.
func (l *loader) checkClients() {
	c := &l.config
	groups := map[string]bool{}
	keyed := ""
	for _, g := range c.AllGroups() {
		groups[g.Name] = true
		if keyed == "" && len(g.Secrets)+len(g.Keys) > 0 {
			keyed = g.Name
		}
	}
	byName, byHash := map[string]bool{}, map[[32]byte]string{}
	for i := range c.Clients {
		client := &c.Clients[i]
		if byName[client.Name] {
			l.fail(client.place(), "the name is given twice")
		}
		byName[client.Name] = true
		if !validClientName(client.Name) {
			l.fail(client.place(), "a name is 1 to 64 letters, digits, dots, hyphens, underscores and @")
		}
		if !client.tokenBad {
			if other, twice := byHash[client.Hash]; twice {
				l.fail(client.place(), "has the same token as client %s", settingValue(other))
			}
			byHash[client.Hash] = client.Name
		}
		for _, g := range client.Groups {
			if !groups[g] {
				l.fail(client.place(), "groups: %s is not a group", settingValue(g))
			}
		}
		for _, m := range client.Models {
			if !validModelPattern(m) {
				l.fail(client.place(), `models: %s: must be the name of a model, without what stands before it ("models/"), or how names begin, with "*" at the end`, settingValue(m))
			}
		}
	}
	if keyed != "" && len(c.Clients) == 0 && !l.inherits && !l.bad["LISTEN_ADDR"] && !isPrivate(c.ListenAddr) {
		l.fail(l.where("LISTEN_ADDR"), "%s: group %s has keys, and whoever reaches this address could use them; "+
			"list who may under clients, or listen on loopback or a unix socket", settingValue(c.ListenAddr), settingValue(keyed))
	}
}

// validModelPattern tells whether a name of a model can be what a client asks.
func validModelPattern(name string) bool {
	const longest = 200
	return name != "" && len(name) <= longest && !strings.ContainsAny(strings.TrimSuffix(name, "*"), "*/ ")
}

func validClientName(name string) bool {
	return name != "" && len(name) <= 64 && isHostText(name, ".-_@")
}

// isPrivate tells whether nobody but this machine can reach an address.
func isPrivate(addr string) bool {
	if strings.HasPrefix(addr, "unix:") {
		return true
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// isPrivateListener tells the same of a listener.
func isPrivateListener(addr net.Addr) bool {
	return addr.Network() == "unix" || isPrivate(addr.String())
}
