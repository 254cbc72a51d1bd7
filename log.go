package main

import (
	"fmt"
	"io"
	"log/slog"
	"os/signal"
	"syscall"

	"gemini-resilient-proxy/proxy"
)

// newLogger returns the program's log as the settings ask for it: to w, or to
// the file of LOG_FILE. Nobody who logs waits for either.
func newLogger(cfg *proxy.Config, w io.Writer) (*slog.Logger, error) {
	// Whoever reads the log may leave. That is no reason to end.
	signal.Ignore(syscall.SIGPIPE)
	if cfg.LogFile != "" {
		f, err := proxy.OpenLogFile(cfg.LogFile)
		if err != nil {
			return nil, fmt.Errorf("LOG_FILE: %w", err)
		}
		w = f
	}
	return slog.New(proxy.NewLogHandler(cfg, w)), nil
}
