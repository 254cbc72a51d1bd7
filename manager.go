package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"gemini-resilient-proxy/proxy"
)

// manager is the service manager that started the program (sd_notify(3)), or
// nobody: then all of this says nothing to nobody.
type manager struct {
	silent   atomic.Bool   // another process speaks for the service
	watchdog time.Duration // within which it wants to hear that all is well, 0: it does not
	log      *slog.Logger
	notices  notices

	mu    sync.Mutex // guards what follows
	today today
	shown string // the status that it was told last
}

// statusTick is how often the status is brought up to date.
const statusTick = 2 * time.Second

// managerPatience is how long a manager is waited for that takes nothing.
const managerPatience = 2 * time.Second

func newManager(log *slog.Logger) *manager {
	m := &manager{log: log, notices: notices{log: log}}
	var err error
	if m.watchdog, err = daemon.SdWatchdogEnabled(false); err != nil {
		log.Warn("no watchdog", "error", err.Error())
	}
	return m
}

// tell sends lines, behind all that was told before, without waiting for that.
func (m *manager) tell(lines ...string) {
	if !m.silent.Load() {
		m.notices.add(strings.Join(lines, "\n"))
	}
}

// told waits for at most so long until the manager has been sent all that it was
// told, and says whether it has.
func (m *manager) told(within time.Duration) bool { return m.notices.await(within) }

// ready says that s serves, or serves as it was told by a reload.
func (m *manager) ready(s *proxy.Server) {
	status, _ := m.status(s)
	m.tell(daemon.SdNotifyReady, "STATUS="+status)
}

// status returns what is to be shown of s, and whether that is new.
func (m *manager) status(s *proxy.Server) (status string, isNew bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	status = fmt.Sprintf("%d streams open, %d healed today", s.Running(), m.today.count(s.Healed(), time.Now()))
	isNew = status != m.shown
	m.shown = status
	return status, isNew
}

// healedToday returns how many answers were healed today, and the day.
func (m *manager) healedToday(s *proxy.Server) (day string, healed int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	healed = m.today.count(s.Healed(), time.Now())
	return m.today.day, healed
}

// goesOn says what another process, whose place this one takes, had healed on a
// day.
func (m *manager) goesOn(day string, healed int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.today = today{day: day, before: -healed}
}

// stopping says that the program ends, within so much time, which may be more
// than the unit allows (TimeoutStopSec= in systemd.service(5)).
func (m *manager) stopping(within time.Duration) {
	m.tell(daemon.SdNotifyStopping, fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", within.Microseconds()))
}

// reloading says that a reload has begun; it is over with ready
// (Type=notify-reload in systemd.service(5)).
func (m *manager) reloading() {
	m.tell(daemon.SdNotifyReloading, daemon.SdNotifyMonotonicUsec())
}

// handOver makes another process the service's main process, and says nothing
// more itself. It is told that before the other process tells it anything.
func (m *manager) handOver(pid int) {
	m.tell(fmt.Sprintf("MAINPID=%d", pid))
	m.silent.Store(true)
	m.told(managerPatience)
}

// attend keeps the manager's view of s up to date, until ctx is done. The
// watchdog is fed while s answers through its own listeners. Once s drains it
// has none: then it is fed while the program runs.
func (m *manager) attend(ctx context.Context, s *proxy.Server) {
	if m.watchdog > 0 {
		go m.feed(ctx, s)
	}
	t := time.NewTicker(statusTick)
	defer t.Stop()
	for {
		// What is told again and again does not pile up.
		if m.told(statusTick) {
			if status, isNew := m.status(s); isNew {
				m.tell("STATUS=" + status)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// feed feeds the watchdog.
func (m *manager) feed(ctx context.Context, s *proxy.Server) {
	// Three chances: one answer that is late is no reason to be killed.
	every := m.watchdog / 3
	t := time.NewTicker(every)
	defer t.Stop()
	well := true
	for {
		probe, cancel := context.WithTimeout(ctx, every)
		err := s.Probe(probe)
		cancel()
		if err == nil && m.told(every) {
			m.tell(daemon.SdNotifyWatchdog)
		}
		if (err == nil) != well && ctx.Err() == nil {
			if well = err == nil; well {
				m.log.Info("the public listener answers again")
			} else {
				m.log.Error("the public listener does not answer: the watchdog is not fed", "error", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// today counts what was healed since midnight, or since the program began.
type today struct {
	day    string
	before int64 // healed by then; less than 0 is what another process healed today
	healed int64
}

// count returns how much of healed, which only grows, belongs to the day of now.
func (t *today) count(healed int64, now time.Time) int64 {
	if day := now.Format(time.DateOnly); day != t.day {
		if t.day != "" {
			t.before = t.healed
		}
		t.day = day
	}
	t.healed = healed
	return healed - t.before
}
