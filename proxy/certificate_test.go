package proxy

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unsafe"
)

// twoInPEM returns two certificates, and the key of the first.
func twoInPEM(t *testing.T) (first, second, key []byte) {
	t.Helper()
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	a, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	b, err := selfSigned()
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(a.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return block("CERTIFICATE", a.Certificate[0]), block("CERTIFICATE", b.Certificate[0]), block("PRIVATE KEY", der)
}

// TestHalfOfAChain: a chain, or a list of authorities, of which only a part is
// written so far cannot be used, wherever it ends within a certificate.
func TestHalfOfAChain(t *testing.T) {
	first, second, key := twoInPEM(t)
	all := append(bytes.Clone(first), second...)
	files := tlsFiles{cert: "crt", key: "key", clientCA: "ca"}
	const marker = len("-----BEGIN ")
	for n := range len(all) + 1 {
		// A file that ends between two certificates, or before a marker is whole,
		// looks like one that is.
		inMarker := n >= len(first) && n < len(first)+marker
		whole := inMarker || n == len(first)-1 || n >= len(all)-1
		_, err := files.config(tlsContents{cert: all[:n], key: key, clientCA: all})
		if (err == nil) != whole {
			t.Fatalf("a chain of %d bytes (%d and %d): %v", n, len(first), len(second), err)
		}
		_, err = files.config(tlsContents{cert: all, key: key, clientCA: all[:n]})
		if (err == nil) != whole {
			t.Fatalf("authorities of %d bytes (%d and %d): %v", n, len(first), len(second), err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "TLS_CLIENT_CA_FILE: ca: ") {
			t.Fatal(err)
		}
	}
}

// TestBadAuthority: one authority that cannot be read is said, and none is left out
// silently. What stands between the blocks is a comment.
func TestBadAuthority(t *testing.T) {
	first, second, key := twoInPEM(t)
	files := tlsFiles{cert: "crt", key: "key", clientCA: "ca"}
	bad := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("no certificate")})
	for name, want := range map[string]struct {
		ca   []byte
		says string
	}{
		"one that is none": {append(bytes.Clone(first), bad...), "TLS_CLIENT_CA_FILE: ca: the certificate in block 2 cannot be read"},
		"half of one":      {append(bytes.Clone(first[:len(first)/2]), second...), "TLS_CLIENT_CA_FILE: ca: not all of its 2 blocks in PEM are whole"},
		"text":             {[]byte("nothing"), "TLS_CLIENT_CA_FILE: ca: holds no certificate in PEM"},
		"comments":         {bytes.Join([][]byte{[]byte("# one\n"), first, []byte("\n# two\n"), second, []byte("# ----- end\n")}, nil), ""},
	} {
		_, err := files.config(tlsContents{cert: first, key: key, clientCA: want.ca})
		if says := errText(err); says != want.says {
			t.Errorf("%s: %q, want %q", name, says, want.says)
		}
	}
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestCertificateWhileTheClockIsSet: files are followed also when the machine's
// clock was set back.
func TestCertificateWhileTheClockIsSet(t *testing.T) {
	dir := t.TempDir()
	files := tlsFiles{cert: filepath.Join(dir, "crt"), key: filepath.Join(dir, "key")}
	write := func() (cert []byte) {
		t.Helper()
		cert, _, key := twoInPEM(t)
		for path, b := range map[string][]byte{files.cert: cert, files.key: key} {
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return cert
	}
	write()
	c, err := newCertificates(files, 1, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(write())
	later := c.begun.Add(2 * certificateTick)
	now := later
	// The seconds of the wall clock are above the 30 bits of its nanoseconds.
	*(*uint64)(unsafe.Pointer(&now)) -= 3600 << 30
	if now.Sub(later) != 0 || now.Round(0).Sub(later.Round(0)) != -time.Hour {
		t.Skip("package time keeps its times in another way")
	}
	if got := c.current(now).Certificates[0].Certificate[0]; !bytes.Equal(got, block.Bytes) {
		t.Error("the new certificate is not shown")
	}
}
