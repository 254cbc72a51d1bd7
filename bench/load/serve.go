package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

// runUpstream is the upstream subcommand. It serves until it is killed.
func runUpstream(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("load upstream", flag.ContinueOnError)
	fs.SetOutput(stderr)
	addr := fs.String("addr", "127.0.0.1:9000", "`address` to listen on")
	secure := fs.Bool("tls", false, "serve TLS with a certificate made for this run")
	ca := fs.String("ca", "", "`file` to write the certificate to, for clients to trust")
	fs.Usage = func() {
		fmt.Fprintln(stderr, "usage: load upstream [flags]")
		fs.PrintDefaults()
		fmt.Fprintln(stderr, "the query of a streamGenerateContent request says what comes:\n"+
			"  events=N  number of events before the finish (20)\n"+
			"  rate=R    events a second, 0 for as fast as they are taken (20)\n"+
			"  size=B    bytes of an event (350)\n"+
			"  cut=1     break off after half of the events, unless the contents hold a model turn;\n"+
			"            if they do, send the other half\n"+
			"any other path is answered with 1 KiB of JSON")
	}
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	l, err := net.Listen("tcp", *addr)
	if err == nil && *secure {
		l, err = secured(l, *ca)
	}
	if err != nil {
		fmt.Fprintln(stderr, "load upstream:", err)
		return 1
	}
	fmt.Fprintln(stdout, "listening", l.Addr())
	serve(l)
	return 0
}

// secured is l with TLS, whose certificate is written to the file ca if that
// is not empty.
func secured(l net.Listener, ca string) (net.Listener, error) {
	cert, pem, err := selfSigned()
	if err != nil {
		return nil, err
	}
	if ca != "" {
		if err := os.WriteFile(ca, pem, 0o644); err != nil {
			return nil, err
		}
	}
	return tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}}), nil
}

// serve answers every connection of l until l is closed.
func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			go (&peer{c: c, br: bufio.NewReaderSize(c, 8<<10)}).serve()
		}
	}
}

// peer is one connection of the load upstream.
type peer struct {
	c  net.Conn
	br *bufio.Reader

	// The request being answered.
	path, query []byte
	body        []byte
	close       bool // the peer asked to close after it

	event, out []byte // reused
}

func (p *peer) serve() {
	defer p.c.Close()
	for p.readRequest() == nil {
		var err error
		if bytes.HasSuffix(p.path, []byte(":streamGenerateContent")) {
			err = p.stream(parseOrder(p.query))
		} else {
			_, err = p.c.Write(shortAnswer)
		}
		if err != nil || p.close {
			return
		}
	}
}

var errRequest = errors.New("malformed request")

// readRequest reads one request, head and body.
func (p *peer) readRequest() error {
	line, err := p.br.ReadSlice('\n')
	if err != nil {
		return err
	}
	fields := bytes.Fields(line)
	if len(fields) != 3 {
		return errRequest
	}
	path, query, _ := bytes.Cut(fields[1], []byte{'?'})
	p.path, p.query = append(p.path[:0], path...), append(p.query[:0], query...)
	p.close = false
	length, chunked := 0, false
	for {
		if line, err = p.br.ReadSlice('\n'); err != nil {
			return err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return p.readBody(length, chunked)
		}
		name, value, _ := bytes.Cut(line, []byte{':'})
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return errRequest
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Connection")):
			p.close = bytes.EqualFold(value, []byte("close"))
		}
	}
}

// readBody reads a request body into p.body.
func (p *peer) readBody(length int, chunked bool) error {
	p.body = p.body[:0]
	if !chunked {
		return p.take(length)
	}
	for {
		line, err := p.br.ReadSlice('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseUint(string(bytes.TrimRight(line, "\r\n")), 16, 31)
		if err != nil {
			return errRequest
		}
		if err := p.take(int(size)); err != nil {
			return err
		}
		if _, err := p.br.Discard(2); err != nil || size == 0 {
			return err
		}
	}
}

// maxBody bounds a request body, in bytes.
const maxBody = 64 << 20

// take appends n bytes to p.body.
func (p *peer) take(n int) error {
	have := len(p.body)
	if n > maxBody-have {
		return errRequest
	}
	p.body = append(p.body, make([]byte, n)...)
	_, err := io.ReadFull(p.br, p.body[have:])
	return err
}
