package proxy

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
)

// safeLog is a log handler whose panics end with the line. A line is written
// where requests end and connections are given back, and a line is never worth
// one of those.
type safeLog struct {
	slog.Handler
	panics prometheus.Counter
}

// Handle writes a line, or loses it.
func (l *safeLog) Handle(ctx context.Context, r slog.Record) error {
	defer l.caught()
	return l.Handler.Handle(ctx, r)
}

// Enabled tells whether lines of a level are written.
func (l *safeLog) Enabled(ctx context.Context, level slog.Level) bool {
	defer l.caught()
	return l.Handler.Enabled(ctx, level)
}

// WithAttrs returns a handler that is as safe.
func (l *safeLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &safeLog{l.Handler.WithAttrs(attrs), l.panics}
}

// WithGroup returns a handler that is as safe.
func (l *safeLog) WithGroup(name string) slog.Handler {
	return &safeLog{l.Handler.WithGroup(name), l.panics}
}

// caught counts a panic, which it cannot log.
func (l *safeLog) caught() {
	if recover() != nil {
		l.panics.Inc()
	}
}
