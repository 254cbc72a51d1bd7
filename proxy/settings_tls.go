package proxy

import (
	"errors"
	"os"
	"strings"
)

// fileCodec takes the path of a file, or nothing.
func fileCodec(field func(*Config) *string) codec {
	return codec{
		parse: func(c *Config, text string) error {
			if strings.ContainsRune(text, 0) || strings.HasSuffix(text, "/") {
				return errors.New("must be the path of a file, or empty")
			}
			*field(c) = text
			return nil
		},
		format: func(c *Config) string { return *field(c) },
	}
}

// checkTLS checks that the files of TLS belong together and can be used.
func (l *loader) checkTLS() {
	c := &l.config
	l.checkRoots()
	if l.bad["TLS_CERT_FILE"] || l.bad["TLS_KEY_FILE"] || l.bad["TLS_CLIENT_CA_FILE"] {
		return
	}
	switch f := c.tlsFiles(); {
	case f == tlsFiles{}:
	case f.cert == "":
		l.fail(l.where("TLS_CERT_FILE"), "must be set with TLS_KEY_FILE or TLS_CLIENT_CA_FILE")
	case f.key == "":
		l.fail(l.where("TLS_KEY_FILE"), "must be set with TLS_CERT_FILE")
	default:
		if _, err := f.load(); err != nil {
			l.errs = append(l.errs, err)
		}
	}
}

// checkRoots looks at the file from which package x509 takes the authorities of
// upstreams in place of the system's: a named pipe would hold the first handshake.
// Anything else is the package's to deal with; some name /dev/null, to trust nobody.
func (l *loader) checkRoots() {
	path := os.Getenv("SSL_CERT_FILE") // as the package does
	st, err := os.Stat(path)
	if path == "" || err != nil || st.Mode()&os.ModeNamedPipe == 0 {
		return
	}
	if err := isRegular(path, st.Mode()); err != nil {
		l.fail("SSL_CERT_FILE", "%s: cannot be read: %w", path, err)
	}
}
