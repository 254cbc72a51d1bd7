package routing

import (
	"bytes"
	"strings"
)

// Own is how a client has reached the proxy: what a URL has to say that leads
// it there again.
type Own struct {
	// Origin is scheme://host[:port].
	Origin []byte
	// Host is the value of the request's Host header, for what it says about
	// the group.
	Host []byte
}

// apiDomain is the domain of the API's own hosts. A gateway between the proxy
// and the API passes their URLs on as they are.
const apiDomain = ".googleapis.com"

// AppendOwnURL appends to dst the URL under which a client of the proxy reaches
// what the upstream calls url: with the proxy's origin, without the paths that
// AppendTarget puts in front, without a key, and with the group's name where
// nothing else in a request to own would lead to g. A url that is a path stays
// one. ok is false, and dst as it was, for a url that does not lead to the
// upstream or to the API, and for one that the proxy would refuse.
func AppendOwnURL(dst []byte, t *Table, b *Base, g *Group, own Own, url []byte) (out []byte, ok bool) {
	origin := own.Origin
	rest, isPath := pathOnly(url)
	if isPath {
		origin = nil
	} else if rest, ok = b.cutOrigin(url); !ok {
		return dst, false
	}
	path, query, _ := bytes.Cut(rest, []byte("?"))
	path = cutPrefixes(path, b.Path, g.Path)
	if CheckPath(path) != nil || CheckQuery(query) != nil {
		return dst, false
	}
	if isPath && bytes.HasPrefix(path, []byte("//")) {
		return dst, false // without the prefix it would name a host
	}
	q, err := SplitQuery(t, query, nil)
	if err != nil {
		return dst, false
	}
	dst = append(dst, origin...)
	dst = append(dst, path...)
	separator := byte('?')
	if len(q.Rest) > 0 {
		dst = append(append(dst, separator), q.Rest...)
		separator = '&'
	}
	if found, _ := t.Choose(Hints{Host: own.Host}); found.Name != g.Name {
		dst = append(append(dst, separator), groupParameter+"="...)
		dst = append(dst, g.Name...)
	}
	return dst, true
}

// pathOnly tells whether a URL reference (RFC 3986 4.2) is an absolute path.
func pathOnly(url []byte) (path []byte, ok bool) {
	ok = len(url) > 0 && url[0] == '/' && !bytes.HasPrefix(url, []byte("//"))
	return url, ok
}

// cutOrigin cuts scheme and authority off a URL that leads to the upstream or
// to the API itself, and returns its path and query.
func (b *Base) cutOrigin(url []byte) (rest []byte, ok bool) {
	scheme, rest, ok := bytes.Cut(url, []byte("://"))
	secure := strings.EqualFold(string(scheme), "https")
	if !ok || !secure && !strings.EqualFold(string(scheme), "http") {
		return nil, false
	}
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, rest := strings.ToLower(string(rest[:end])), rest[end:]
	if len(rest) == 0 || rest[0] != '/' {
		rest = append([]byte("/"), rest...)
	}
	host, port, hasPort := splitPort(authority)
	own, ownPort, _ := splitPort(strings.ToLower(b.Addr))
	switch {
	case host == own && (!hasPort || port == ownPort):
		return rest, true
	case secure && strings.HasSuffix(host, apiDomain) && validHost(host) && (!hasPort || port == "443"):
		return rest, true
	}
	return nil, false
}

// cutPrefixes takes the paths of base and group off the front of a path. A
// gateway may have taken either away by itself.
func cutPrefixes(path []byte, base, group string) []byte {
	path = cutPrefix(path, base)
	return cutPrefix(path, group)
}

func cutPrefix(path []byte, prefix string) []byte {
	if rest, ok := bytes.CutPrefix(path, []byte(prefix)); ok && len(rest) > 0 && rest[0] == '/' {
		return rest
	}
	return path
}
