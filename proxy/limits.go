package proxy

import (
	"errors"
	"fmt"
	"syscall"
)

// defaultConns is the number of upstream connections where the system names
// no limit.
const defaultConns = 10000

const (
	// keptDescriptors are for everything but clients and upstreams: listeners,
	// logs, the admin listener, a new process in a handover.
	keptDescriptors = 64
	// minDescriptors is what the proxy does not start below: a service that can
	// hold fewer streams than this is a mistake in its limits.
	minDescriptors = 256
)

// maxConns returns how many connections the process can have open with clients,
// and how many with upstreams: a stream takes two descriptors, one for each.
func maxConns() int {
	limit, known := descriptors()
	if !known {
		return defaultConns
	}
	return int(min(max(64, (max(limit, keptDescriptors)-keptDescriptors)/2), 1<<20))
}

// outOfDescriptors tells whether err is that the process, or the system, has no
// descriptor left. Idle upstream connections are what can be done without then.
func outOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// CheckLimits returns an error when the process may not open the descriptors
// that cfg asks for (RLIMIT_NOFILE, getrlimit(2)). The error says what would do.
func CheckLimits(cfg *Config) error {
	limit, known := descriptors()
	if !known {
		return nil
	}
	return checkDescriptors(cfg, limit)
}

func checkDescriptors(cfg *Config, limit uint64) error {
	const advice = "raise it (LimitNOFILE= in the unit, ulimit -n in a shell)"
	if limit < minDescriptors {
		return fmt.Errorf("the process may open %d descriptors, and needs %d at least: %s", limit, minDescriptors, advice)
	}
	if cfg.MaxStreams == 0 {
		return nil
	}
	// Who waits for a place has a connection too, and no upstream yet.
	if need := uint64(2*cfg.MaxStreams + cfg.MaxQueue + keptDescriptors); limit < need {
		return fmt.Errorf("the process may open %d descriptors, but MAX_STREAMS %d with MAX_QUEUE %d needs %d: %s, or lower them",
			limit, cfg.MaxStreams, cfg.MaxQueue, need, advice)
	}
	return nil
}
