package proxy

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"strings"
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

// load reads the files. The error names the setting and the file, and never
// what is in it.
func (f tlsFiles) load() (*tls.Config, error) {
	conf := &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
	}
	pair, err := f.loadPair()
	if err != nil {
		return nil, err
	}
	conf.Certificates = []tls.Certificate{pair}
	if f.clientCA == "" {
		return conf, nil
	}
	pem, err := os.ReadFile(f.clientCA)
	if err != nil {
		return nil, fmt.Errorf("TLS_CLIENT_CA_FILE: %s: cannot be read: %w", f.clientCA, bare(err))
	}
	conf.ClientCAs = x509.NewCertPool()
	if !conf.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("TLS_CLIENT_CA_FILE: %s: holds no certificate in PEM", f.clientCA)
	}
	conf.ClientAuth = tls.RequireAndVerifyClientCert
	return conf, nil
}

func (f tlsFiles) loadPair() (tls.Certificate, error) {
	cert, err := os.ReadFile(f.cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("TLS_CERT_FILE: %s: cannot be read: %w", f.cert, bare(err))
	}
	key, err := os.ReadFile(f.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("TLS_KEY_FILE: %s: cannot be read: %w", f.key, bare(err))
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("TLS_CERT_FILE: %s with TLS_KEY_FILE: %s: %w", f.cert, f.key, err)
	}
	return pair, nil
}

// bare is an error of package os without the path.
func bare(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}

// stamp tells versions of the files apart.
func (f tlsFiles) stamp() string {
	var b strings.Builder
	for _, path := range []string{f.cert, f.key, f.clientCA} {
		if st, err := os.Stat(path); err == nil {
			fmt.Fprintf(&b, "%d %d\n", st.Size(), st.ModTime().UnixNano())
		} else {
			b.WriteString("missing\n")
		}
	}
	return b.String()
}

// certificates are what the public listener shows and asks for. They follow
// their files; files that cannot be used change nothing.
type certificates struct {
	files tlsFiles
	log   *slog.Logger
	own   tls.Certificate // the proxy's own as a client of itself, see Probe
	top   *tls.Config     // holds the keys of session tickets

	now  atomic.Pointer[tls.Config]
	next atomic.Int64 // when the files are to be looked at again, Unix nanoseconds
	mu   sync.Mutex   // held while they are
	seen string       // the version that was tried last
}

// newCertificates loads the files. It returns nil when there are none.
func newCertificates(f tlsFiles, log *slog.Logger) (*certificates, error) {
	if f.cert == "" {
		return nil, nil
	}
	c := &certificates{files: f, log: log, seen: f.stamp()}
	var err error
	if c.own, err = selfSigned(); err != nil {
		return nil, err
	}
	conf, err := f.load()
	if err != nil {
		return nil, err
	}
	c.use(conf)
	c.top = conf.Clone()
	c.top.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.current(time.Now()), nil }
	return c, nil
}

func (c *certificates) use(conf *tls.Config) {
	if conf.ClientCAs != nil {
		conf.ClientCAs.AddCert(c.own.Leaf)
	}
	c.now.Store(conf)
	c.next.Store(time.Now().Add(certificateTick).UnixNano())
}

// current returns the configuration for a handshake. Whoever comes while
// another looks at the files does not wait.
func (c *certificates) current(now time.Time) *tls.Config {
	if now.UnixNano() >= c.next.Load() && c.mu.TryLock() {
		c.refresh(now)
		c.mu.Unlock()
	}
	return c.now.Load()
}

func (c *certificates) refresh(now time.Time) {
	c.next.Store(now.Add(certificateTick).UnixNano())
	stamp := c.files.stamp()
	if stamp == c.seen {
		return
	}
	c.seen = stamp
	conf, err := c.files.load()
	if err != nil {
		c.log.Error("the certificate is not loaded, the old one stays", "error", err.Error())
		return
	}
	c.use(conf)
	c.log.Info("certificate loaded", "until", c.expiry())
}

// expiry returns when the certificate is no longer valid.
func (c *certificates) expiry() time.Time { return c.now.Load().Certificates[0].Leaf.NotAfter }

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
