package routing

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

// Base is the upstream's address, taken apart once at the start.
type Base struct {
	// TLS is true for https.
	TLS bool
	// Host is the value of the Host header: host[:port] as it was written.
	Host string
	// Addr is the host:port to dial. The port is 80 or 443 if none was
	// written, and an IPv6 address is in brackets.
	Addr string
	// ServerName is the name to verify the certificate against: the host
	// without port, brackets and the dot of the root.
	ServerName string
	// Path goes before the path of every request. It is empty, or begins
	// with "/" and does not end with it.
	Path string
}

// What ParseBase refuses. None of them repeats the input, which may hold a
// password where none belongs.
var (
	errBaseCharacter = errors.New("a URL must not hold spaces, control characters, backslashes or characters outside ASCII")
	errBaseScheme    = errors.New("the URL must begin with http:// or https://")
	errBaseUserinfo  = errors.New("the URL must not hold a user name or password")
	errBaseQuery     = errors.New("the URL must not hold a query (?)")
	errBaseFragment  = errors.New("the URL must not hold a fragment (#)")
	errBaseNoHost    = errors.New("the URL has no host")
	errBaseHost      = errors.New("the host must be a DNS name, an IPv4 address or an IPv6 address in brackets")
	errBasePort      = errors.New("the port must be a number from 1 to 65535")
)

// ParseBase parses scheme://host[:port][/path]. Slashes at the end of the path
// are dropped. The error says what is wrong and never repeats any part of s.
func ParseBase(s string) (Base, error) {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '\\' {
			return Base{}, errBaseCharacter
		}
	}
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "http" && scheme != "https" {
		return Base{}, errBaseScheme
	}

	b := Base{TLS: scheme == "https"}
	b.Host = rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		b.Host, b.Path = rest[:i], rest[i:]
	}
	switch {
	case strings.Contains(b.Host, "@"):
		return Base{}, errBaseUserinfo
	case strings.Contains(b.Path, "#"):
		return Base{}, errBaseFragment
	case strings.Contains(b.Path, "?"):
		return Base{}, errBaseQuery
	}
	if err := b.setHost(); err != nil {
		return Base{}, err
	}
	b.Path = strings.TrimRight(b.Path, "/")
	if err := checkPrefix(b.Path); err != nil {
		return Base{}, err
	}
	return b, nil
}

// setHost fills Addr and ServerName from Host.
func (b *Base) setHost() error {
	host, port, hasPort := splitPort(b.Host)
	switch {
	case strings.Contains(port, ":"):
		return errBaseHost // an IPv6 address without brackets
	case host == "":
		return errBaseNoHost
	case !validHost(host):
		return errBaseHost
	}
	switch {
	case hasPort && !validPort(port):
		return errBasePort
	case hasPort:
	case b.TLS:
		port = "443"
	default:
		port = "80"
	}
	b.Addr = host + ":" + port
	b.ServerName = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	return nil
}

// splitPort cuts s at the colon that ends the host. A host in brackets keeps
// its brackets and the colons within.
func splitPort(s string) (host, port string, hasPort bool) {
	end := strings.LastIndexByte(s, ']') + 1
	i := strings.IndexByte(s[end:], ':')
	if i < 0 {
		return s, "", false
	}
	return s[:end+i], s[end+i+1:], true
}

func validPort(port string) bool {
	for i := range len(port) {
		if !isDigit(port[i]) {
			return false
		}
	}
	n, err := strconv.ParseUint(port, 10, 16)
	return err == nil && n > 0
}

// validHost accepts what can be dialed and verified: a DNS name with or without
// the dot of the root, an IPv4 address, or an IPv6 address in brackets without
// a zone. Whether the name exists is found out later.
func validHost(host string) bool {
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		addr, err := netip.ParseAddr(inner)
		return ok && err == nil && addr.Is6() && addr.Zone() == ""
	}
	const maxName, maxLabel = 253, 63
	name := strings.TrimSuffix(host, ".")
	if len(name) > maxName {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > maxLabel {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isAlphanumeric(c) && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}
