package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"gemini-resilient-proxy/proxy"
)

// process is the running program: the proxy, its sockets, its admin listener,
// and all that the outside can tell it.
type process struct {
	cfg     proxy.Config
	log     *slog.Logger
	server  *proxy.Server
	sockets *sockets
	admin   *http.Server
	manager *manager
	before  *predecessor // nil: there is none
	pidFile string       // "": there is to be none

	stop, reload, upgrade chan os.Signal
	failed                chan error
	leads                 chan struct{} // closed when it speaks for the service, see announce
	told                  chan struct{} // closed when the one before has said who does; nil: there is none
	stopping              chan struct{} // closed when it begins to end
}

// adminPatience is how long the last requests of the admin listener may take.
const adminPatience = time.Second

// stopMargin is how much longer than DRAIN_TIMEOUT the end may take: streams
// that are ended get a moment to say so.
const stopMargin = 15 * time.Second

// serve runs the proxy until SIGTERM or SIGINT and drains it then.
func serve(cfg proxy.Config, file, pidFile string, log *slog.Logger) (err error) {
	p := &process{cfg: cfg, log: log, pidFile: pidFile, manager: newManager(log),
		leads: make(chan struct{}), stopping: make(chan struct{})}
	// Registered first: a signal that comes early must not be lost.
	p.listenToSignals()
	if p.before, err = findPredecessor(); err != nil {
		return err
	}
	if err := proxy.CheckLimits(&cfg); err != nil {
		return err
	}
	limited, release := context.WithCancel(context.Background())
	defer release()
	takeLimits(limited, log)
	if p.server, err = proxy.New(cfg, log); err != nil {
		return err
	}
	p.server.ShowVersion(buildVersion())
	if p.before != nil {
		p.server.UseSessionKeys(p.before.keys)
	}
	p.server.SetSource(func() (proxy.Config, error) { return proxy.LoadConfig(file, lookupEnv) }, fileList(file)...)
	made := ""
	if p.before != nil {
		made = p.before.made
	}
	if p.sockets, err = openSockets(&cfg, made, log); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			p.sockets.close()
			removePID(pidFile)
		}
	}()
	if err := p.begin(); err != nil {
		return fmt.Errorf("listener: %w", err)
	}
	if p.before == nil {
		if err := writePID(pidFile); err != nil {
			return fmt.Errorf("-pid-file: %w", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.announce(ctx)
	if file != "" {
		go p.server.WatchFiles(file)
	}
	next, err := p.attend()
	switch {
	case err != nil:
		return fmt.Errorf("listener: %w", err)
	case next != nil:
		p.retire(next)
	default:
		p.drain()
	}
	return nil
}

func (p *process) listenToSignals() {
	p.stop, p.reload, p.upgrade = make(chan os.Signal, 2), make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(p.stop, syscall.SIGTERM, os.Interrupt)
	signal.Notify(p.reload, syscall.SIGHUP)
	if upgradeSignal != nil { // all signals otherwise
		signal.Notify(p.upgrade, upgradeSignal)
	}
}

// begin serves all sockets. When it returns, connections are accepted.
func (p *process) begin() error {
	if len(p.sockets.admin) > 0 {
		p.admin = &http.Server{Handler: p.server.Admin(), ReadHeaderTimeout: 10 * time.Second,
			ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelWarn)}
		for _, l := range p.sockets.admin {
			go p.admin.Serve(l)
		}
	}
	p.failed = make(chan error, len(p.sockets.public))
	var all []*begun
	for _, l := range p.sockets.public {
		p.log.Info("listening", "address", l.Addr().String(), "upstream", p.cfg.UpstreamURLBase, "version", buildVersion())
		b := newBegun(l)
		all = append(all, b)
		go func() { p.failed <- p.server.Serve(b) }()
	}
	for _, b := range all {
		select {
		case <-b.first:
		case err := <-p.failed:
			return err
		}
	}
	return nil
}

// announce tells the service manager that the program is ready, now or as soon
// as it has taken over from another process.
func (p *process) announce(ctx context.Context) {
	if p.before == nil {
		close(p.leads)
		go func() {
			p.manager.ready(p.server)
			p.manager.attend(ctx, p.server)
		}()
		return
	}
	p.manager.silent.Store(true)
	if len(p.stop) > 0 {
		// Told to stop before anybody relies on it: instead of "ready" the old
		// process sees the end, and goes on.
		p.before.hurry()
	}
	p.told = make(chan struct{})
	go func() {
		if !p.before.takeOver() {
			close(p.told)
			return
		}
		p.sockets.own()
		p.manager.goesOn(p.before.day, p.before.healed)
		p.log.Info("took over", "pid", os.Getpid())
		if err := writePID(p.pidFile); err != nil {
			p.log.Error("the file of -pid-file names another process", "error", err.Error())
		}
		p.manager.silent.Store(false)
		close(p.told)
		select {
		case <-p.stopping:
		default:
			// What was changed since this process read its settings, the old one
			// may have taken over for itself alone; and who waits for a reload that
			// it did not come to any more is answered.
			p.loadAgain()
		}
		close(p.leads)
		p.manager.attend(ctx, p.server)
	}()
}

// attend does what signals ask for until the program is to end. It returns the
// process that has taken over, nil when the program was told to stop. Reloads
// and handovers wait until the program has taken over itself: the manager would
// hear of neither.
func (p *process) attend() (*successor, error) {
	handed := make(chan *successor)
	upgrading := false
	var reload, upgrade chan os.Signal
	leads := p.leads
	for {
		select {
		case <-leads:
			leads, reload, upgrade = nil, p.reload, p.upgrade
		case err := <-p.failed:
			return nil, err
		case got := <-p.stop:
			close(p.stopping)
			if upgrading {
				select {
				case next := <-handed:
					if next != nil {
						// It was ready in the same moment. It is the one to be told.
						next.cmd.Process.Signal(syscall.SIGTERM)
						return next, nil
					}
				case again := <-p.stop:
					// The new one has not ended yet.
					p.leave(again)
				}
			}
			p.log.Info("draining", "signal", got.String(), "requests", p.server.Running(), "timeout", p.cfg.DrainTimeout)
			return nil, nil
		case <-reload:
			p.loadAgain()
		case <-upgrade:
			if upgrading {
				p.log.Warn("a new process is being started already")
				continue
			}
			upgrading = true
			go func() { handed <- p.handOver() }()
		case next := <-handed:
			if upgrading = false; next != nil {
				return next, nil
			}
		}
	}
}

// loadAgain loads the configuration again. What is wrong with it is in the log.
func (p *process) loadAgain() {
	p.manager.reloading()
	_ = p.server.Reload()
	p.manager.ready(p.server)
}

// handOver starts a new process and returns it when it is ready, nil when it
// does not come to that.
func (p *process) handOver() *successor {
	p.log.Info("starting a new process to hand over to", "file", self)
	next, err := startSuccessor(p.sockets, p.server.SessionKeys())
	if p.server.MakeRoom(err) {
		next, err = startSuccessor(p.sockets, p.server.SessionKeys())
	}
	if err == nil {
		err = next.await(p.stopping)
	}
	if err != nil {
		p.log.Error("the new process did not start, this one goes on", "file", self, "error", err.Error())
		return nil
	}
	return next
}

// retire ends a process whose place another has taken: connections that are
// open get their answers and are closed behind them.
func (p *process) retire(next *successor) {
	p.sockets.leave()
	p.manager.handOver(next.cmd.Process.Pid)
	next.proceed(p.manager.healedToday(p.server))
	p.log.Info("handed over", "to", next.cmd.Process.Pid, "requests", p.server.Running(), "timeout", p.cfg.DrainTimeout)
	p.closeAdmin()
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.DrainTimeout)
	defer cancel()
	idle, cancelIdle := context.WithCancel(ctx)
	defer cancelIdle()
	hurry := func() {
		cancelIdle()
		if p.before != nil {
			p.before.hurry()
		}
	}
	go func() {
		next.awaitHurry()
		hurry()
	}()
	go func() {
		got := <-p.stop
		p.log.Info("draining", "signal", got.String(), "requests", p.server.Running())
		hurry()
		p.leaveOnSignal()
	}()
	go p.refuseUpgrades()
	p.end(ctx, func() { p.server.Retire(ctx, idle) })
}

// drain ends a process that was told to stop.
func (p *process) drain() {
	go p.refuseUpgrades()
	if p.before != nil {
		p.before.hurry()
		// Whose the sockets' files are, and who speaks for the service. That process
		// says so at once, if it can.
		select {
		case <-p.told:
		case <-time.After(adminPatience):
		}
	}
	p.manager.stopping(p.cfg.DrainTimeout + stopMargin)
	go p.leaveOnSignal()
	ctx, cancel := context.WithTimeout(context.Background(), p.cfg.DrainTimeout)
	defer cancel()
	p.end(ctx, func() { p.server.Drain(ctx) })
	p.closeAdmin()
	removePID(p.pidFile)
}

// end runs the last act. It also waits for the process that this one has taken
// over from: whoever watches this one takes its end for that of the service.
func (p *process) end(ctx context.Context, act func()) {
	begin := time.Now()
	act()
	if p.before != nil {
		select {
		case <-p.before.gone:
		case <-ctx.Done():
		}
	}
	p.manager.told(managerPatience)
	p.log.Info("stopped", "after", time.Since(begin))
}

// refuseUpgrades is for a process that has nothing to hand over any more.
func (p *process) refuseUpgrades() {
	for range p.upgrade {
		p.log.Warn("no new process is started: this one is ending")
	}
}

func (p *process) leaveOnSignal() { p.leave(<-p.stop) }

// leave ends the program.
func (p *process) leave(got os.Signal) {
	p.log.Warn("second signal, leaving at once", "signal", got.String())
	p.sockets.close()
	removePID(p.pidFile)
	proxy.FlushLog(p.log)
	os.Exit(1)
}

// closeAdmin ends the admin listener.
func (p *process) closeAdmin() {
	if p.admin == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminPatience)
	defer cancel()
	if err := p.admin.Shutdown(ctx); errors.Is(err, context.DeadlineExceeded) {
		p.admin.Close()
	}
}

// fileList is the configuration's file, if there is one.
func fileList(file string) []string {
	if file == "" {
		return nil
	}
	return []string{file}
}
