// Command gemini-resilient-proxy stands between applications and the Gemini
// API and sees to it that an answer, once begun, arrives whole.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"gemini-resilient-proxy/proxy"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is the program; it returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet("gemini-resilient-proxy", flag.ContinueOnError)
	fs.SetOutput(stderr)
	file := fs.String("config", "", "YAML `file` with settings; environment variables win over it")
	check := fs.Bool("check", false, "check the settings, say every mistake, and exit")
	demo := fs.Bool("demo", false, "show broken streams being healed, with an upstream of its own")
	schema := fs.Bool("schema", false, "print the JSON Schema of the file and exit")
	version := fs.Bool("version", false, "print the version and exit")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() > 0 {
		fmt.Fprintf(stderr, "unexpected argument %q; settings are environment variables or -config FILE\n", fs.Arg(0))
		return 2
	}
	switch {
	case *version:
		fmt.Fprintln(stdout, "gemini-resilient-proxy", buildVersion())
		return 0
	case *schema:
		stdout.Write(proxy.Schema())
		return 0
	case *demo:
		return runDemo(stdout, stderr)
	}
	cfg, err := proxy.LoadConfig(*file, os.LookupEnv)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	if *check {
		fmt.Fprintln(stdout, "the settings are good")
		return 0
	}
	log, err := newLogger(&cfg, stderr)
	if err == nil {
		err = serve(cfg, *file, log)
		proxy.FlushLog(log)
	}
	if err != nil {
		fmt.Fprintln(stderr, "gemini-resilient-proxy:", err)
		return 1
	}
	return 0
}

// serve runs the proxy until SIGTERM or SIGINT and drains it then.
func serve(cfg proxy.Config, file string, log *slog.Logger) error {
	// Registered first: a signal that comes early must not be lost.
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, os.Interrupt)
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)

	limited, release := context.WithCancel(context.Background())
	defer release()
	takeLimits(limited, log)
	s, err := proxy.New(cfg, log)
	if err != nil {
		return err
	}
	s.SetSource(func() (proxy.Config, error) { return proxy.LoadConfig(file, os.LookupEnv) })
	public, err := listenPublic(cfg.ListenAddr)
	if err != nil {
		return err
	}
	admin, err := listenAdmin(cfg.AdminAddr, s.Admin())
	if err != nil {
		return err
	}
	failed := make(chan error, len(public))
	for _, l := range public {
		log.Info("listening", "address", l.Addr().String(), "upstream", cfg.UpstreamURLBase, "version", buildVersion())
		go func(l net.Listener) { failed <- s.Serve(l) }(l)
	}
	daemon.SdNotify(false, daemon.SdNotifyReady)
	go reloadOn(reload, s)
	if file != "" {
		go s.WatchFiles(file)
	}

	select {
	case err := <-failed:
		return fmt.Errorf("listener: %w", err)
	case got := <-signals:
		log.Info("draining", "signal", got.String(), "requests", s.Running(), "timeout", cfg.DrainTimeout)
	}
	daemon.SdNotify(false, daemon.SdNotifyStopping)
	go func() {
		got := <-signals
		log.Warn("second signal, leaving at once", "signal", got.String())
		proxy.FlushLog(log)
		os.Exit(1)
	}()
	begin := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), cfg.DrainTimeout)
	defer cancel()
	s.Drain(ctx)
	if admin != nil {
		admin.Close()
	}
	log.Info("stopped", "after", time.Since(begin))
	return nil
}

// reloadOn loads the configuration again at each signal, and tells systemd
// (Type=notify-reload, sd_notify(3)). What is wrong with it is in the log.
func reloadOn(signals <-chan os.Signal, s *proxy.Server) {
	for range signals {
		daemon.SdNotify(false, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
		_ = s.Reload()
		daemon.SdNotify(false, daemon.SdNotifyReady)
	}
}

// listenAdmin serves the admin listener, when there is to be one.
func listenAdmin(addr string, h http.Handler) (*http.Server, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := listen(addr)
	if err != nil {
		return nil, fmt.Errorf("ADMIN_ADDR: %w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go srv.Serve(l)
	return srv, nil
}

// release is the version that deploy/dist.sh builds; empty in other builds.
var release string

// buildVersion is the release, or the version that the Go tool recorded.
func buildVersion() string {
	if release != "" {
		return release
	}
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "development"
	}
	return info.Main.Version
}
