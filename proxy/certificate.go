package proxy

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"sync"
	"sync/atomic"
	"time"
)

// certificateTick is how often at most the files of a certificate are looked at.
const certificateTick = time.Second

// tlsFiles are the settings of TLS on the public listener.
type tlsFiles struct {
	cert, key, clientCA string
}

func (c *Config) tlsFiles() tlsFiles { return tlsFiles{c.TLSCertFile, c.TLSKeyFile, c.TLSClientCAFile} }

// tlsContents are the files as they were read.
type tlsContents struct {
	cert, key, clientCA []byte
}

// read reads the files. The error names the setting and the file.
func (f tlsFiles) read() (c tlsContents, err error) {
	for _, one := range []struct {
		setting, path string
		to            *[]byte
	}{
		{"TLS_CERT_FILE", f.cert, &c.cert}, {"TLS_KEY_FILE", f.key, &c.key}, {"TLS_CLIENT_CA_FILE", f.clientCA, &c.clientCA},
	} {
		if one.path == "" {
			continue
		}
		if *one.to, err = readFile(one.path, maxKeyFile); err != nil {
			return c, fmt.Errorf("%s: %s: cannot be read: %w", one.setting, one.path, err)
		}
	}
	return c, nil
}

// bare is an error of package os without the path.
func bare(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// digest tells versions of the files apart. Sizes and times would not do: a
// renewed certificate may have both of the one before.
func (c *tlsContents) digest() [sha256.Size]byte {
	h := sha256.New()
	for _, b := range [][]byte{c.cert, c.key, c.clientCA} {
		sum := sha256.Sum256(b)
		h.Write(sum[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// config makes a configuration of what was read. The error names the setting
// and the file, and never what is in it.
func (f tlsFiles) config(c tlsContents) (*tls.Config, error) {
	if err := wholePEM(c.cert); err != nil {
		return nil, fmt.Errorf("TLS_CERT_FILE: %s: %w", f.cert, err)
	}
	if err := wholePEM(c.clientCA); err != nil {
		return nil, fmt.Errorf("TLS_CLIENT_CA_FILE: %s: %w", f.clientCA, err)
	}
	pair, err := tls.X509KeyPair(c.cert, c.key)
	if err != nil {
		return nil, fmt.Errorf("TLS_CERT_FILE: %s with TLS_KEY_FILE: %s: %w", f.cert, f.key, err)
	}
	conf := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
		Certificates: []tls.Certificate{pair},
	}
	if f.clientCA == "" {
		return conf, nil
	}
	conf.ClientCAs = x509.NewCertPool()
	if !conf.ClientCAs.AppendCertsFromPEM(c.clientCA) {
		return nil, fmt.Errorf("TLS_CLIENT_CA_FILE: %s: holds no certificate in PEM", f.clientCA)
	}
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	return conf, nil
}

// wholePEM returns an error when b holds a certificate that cannot be read, or a
// part of one: of a file that is still being written. Packages tls and x509 do
// without, and clients would be shown half of a chain, or turned away by half of the
// authorities.
func wholePEM(b []byte) error {
	begun, whole := bytes.Count(b, []byte("-----BEGIN ")), 0
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		whole++
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return fmt.Errorf("the certificate in block %d cannot be read", whole)
		}
	}
	if whole < begun {
		return fmt.Errorf("not all of its %d blocks in PEM are whole", begun)
	}
	return nil
}

// load reads the files and makes a configuration of them.
func (f tlsFiles) load() (*tls.Config, error) {
	c, err := f.read()
	if err != nil {
		return nil, err
	}
	return f.config(c)
}

// certificates are what the public listener shows and asks for. They follow
// their files; files that cannot be used change nothing.
type certificates struct {
	files      tlsFiles
	log        *slog.Logger
	own        tls.Certificate // the proxy's own as a client of itself, see Probe
	top        *tls.Config     // of all connections; asks current for the rest
	tickets    tickets
	handshakes handshakes

	begun time.Time
	now   atomic.Pointer[tls.Config]
	next  atomic.Int64 // when the files are to be looked at again, in ns from begun, whatever the clock is set to
	mu    sync.Mutex   // held while they are
	seen  string       // the version that was tried last
}

// newCertificates loads the files. It returns nil when there are none. Of the
// conns connections that there may be, a part may be slow in their handshake.
func newCertificates(f tlsFiles, conns int, log *slog.Logger) (*certificates, error) {
	if f.cert == "" {
		return nil, nil
	}
	c := &certificates{files: f, log: log, handshakes: handshakes{most: max(1, conns/4)}}
	var err error
	if c.own, err = selfSigned(); err != nil {
		return nil, err
	}
	now := time.Now()
	c.begun = now
	c.top = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(time.Now()), nil },
	}
	c.tickets.turn(c.top, now)
	return c, c.refresh(now)
}

// current returns the configuration for a handshake. Whoever comes while
// another looks at the files does not wait.
func (c *certificates) current(now time.Time) *tls.Config {
	if int64(now.Sub(c.begun)) >= c.next.Load() && c.mu.TryLock() {
		if err := c.refresh(now); err != nil {
			c.log.Error("the certificate is not loaded, the old one stays", "error", err.Error())
		}
		c.mu.Unlock()
	}
	return c.now.Load()
}

// refresh takes what the files hold, if it is new. An error is returned once
// for each version of the files.
func (c *certificates) refresh(now time.Time) error {
	c.next.Store(int64(now.Sub(c.begun) + certificateTick))
	c.tickets.turn(c.top, now)
	contents, err := c.files.read()
	seen := fmt.Sprintf("%x %v", contents.digest(), err)
	if seen == c.seen {
		return nil
	}
	c.seen = seen
	if err != nil {
		return err
	}
	conf, err := c.files.config(contents)
	if err != nil {
		return err
	}
	if conf.ClientCAs != nil {
		conf.ClientCAs.AddCert(c.own.Leaf)
	}
	c.now.Store(conf)
	c.log.Info("certificate loaded", "until", conf.Certificates[0].Leaf.NotAfter)
	return nil
}

// expiry returns when the certificate is no longer valid.
func (c *certificates) expiry() time.Time {
	return c.current(time.Now()).Certificates[0].Leaf.NotAfter
}

// selfSigned makes a certificate for clients that is trusted by itself alone. Its
// key never leaves the process.
func selfSigned() (tls.Certificate, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	const decade = 10 * 365 * 24 * time.Hour
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "self check"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(decade),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		return tls.Certificate{}, err
	}
	leaf, err := x509.ParseCertificate(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}, err
}
