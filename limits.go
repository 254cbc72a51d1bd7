package main

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

const (
	// memoryShare of the cgroup's limit is what the Go runtime tries to stay
	// below. The rest is for what it does not count, such as socket buffers.
	memoryShare = 0.9
	// memoryRefresh is how often a limit that was changed is noticed.
	memoryRefresh = time.Minute
)

// takeLimits makes the program keep to the memory that its cgroup allows (of
// version 1 or 2, and of those above it), unless GOMEMLIMIT says something
// else, and logs what the program has. It looks again from time to time until
// ctx is done.
//
// The processors that the cgroup allows are taken by the Go runtime itself,
// since go.mod names a version of 1.25 or later, unless GOMAXPROCS is set.
func takeLimits(ctx context.Context, log *slog.Logger) {
	from := "cgroup"
	if _, given := os.LookupEnv("GOMEMLIMIT"); given {
		from = "GOMEMLIMIT"
	}
	_, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithRefreshInterval(ctx, memoryRefresh))
	if err != nil && !errors.Is(err, memlimit.ErrNoCgroup) && !errors.Is(err, memlimit.ErrCgroupsNotSupported) {
		log.Warn("the cgroup's memory limit cannot be read; GOMEMLIMIT sets one", "error", err)
	}
	samples := []metrics.Sample{{Name: "/gc/gomemlimit:bytes"}, {Name: "/gc/gogc:percent"}}
	metrics.Read(samples)
	var limit any = samples[0].Value.Uint64()
	if limit == uint64(math.MaxInt64) {
		limit, from = "none", "none"
	}
	collector := int64(samples[1].Value.Uint64()) // -1 is off
	log.Info("resources", "processors", runtime.GOMAXPROCS(0), "memory_limit", limit, "memory_limit_from", from, "gc_percent", collector)
}
