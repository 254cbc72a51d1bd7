package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"
)

// soaking is a run.
type soaking struct {
	*options
	proxy   *process
	up      *scripted
	client  *client
	load    *load
	tally   tally
	stderr  io.Writer
	samples []*sample
	outcome outcome

	cost     float64 // seconds of processor time for an arrival, of all parts
	capacity float64 // arrivals a second
}

// plan says what load there was.
func (r *soaking) plan() string {
	if r.capacity == 0 {
		return fmt.Sprintf("%v of %.0f arrivals a second", r.duration, r.load.rate)
	}
	return fmt.Sprintf("%v of %.0f arrivals a second: %.0f %% of the %.0f that the processors could carry at %.2f ms each, client, proxy and upstream together",
		r.duration, r.load.rate, 100*r.share, r.capacity, 1000*r.cost)
}

// measure calibrates, runs the load, and waits until all is over.
func (r *soaking) measure(ctx context.Context) error {
	before, err := r.proxy.look(&r.tally)
	if err != nil {
		return err
	}
	if r.load.rate == 0 {
		if err := r.calibrateLoad(ctx); err != nil {
			return err
		}
	}
	fmt.Fprintf(r.stderr, "%s\n", r.plan())
	if err := r.run(ctx); err != nil {
		return err
	}
	for _, s := range r.samples {
		if s.seconds >= r.warmup().Seconds() {
			r.outcome.samples = append(r.outcome.samples, s)
		}
	}
	r.outcome.judge()
	r.outcome.before, r.outcome.tally = before, &r.tally
	r.rest()
	return nil
}

// probe is the rate at which the cost of an arrival is measured.
const probe = 60

// calibrateLoad finds out what an arrival costs and sets the rate.
func (r *soaking) calibrateLoad(ctx context.Context) error {
	r.load.rate = probe
	r.arriveFor(ctx, r.calibrate/4) // connections and code are warm then
	first, err := r.proxy.look(&r.tally)
	own := ownSeconds()
	if err != nil {
		return err
	}
	r.arriveFor(ctx, r.calibrate)
	last, err := r.proxy.look(&r.tally)
	if err != nil {
		return err
	}
	r.cost = (last.cpu - first.cpu + ownSeconds() - own) / max(float64(last.arrivals-first.arrivals), 1)
	r.capacity = float64(runtime.GOMAXPROCS(0)) / max(r.cost, 1e-6)
	r.load.rate = r.share * r.capacity
	return ctx.Err()
}

// arriveFor is the load for a while, with the answers that began in it.
func (r *soaking) arriveFor(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	r.load.arrive(ctx)
	r.load.running.Wait()
}

// run is the load, with a look at the proxy every now and then. It ends early
// when the proxy does, and when ctx is done.
func (r *soaking) run(ctx context.Context) error {
	last, err := r.proxy.look(&r.tally)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, r.duration)
	defer cancel()
	begin := time.Now()
	done := make(chan struct{})
	go func() { defer close(done); r.load.arrive(ctx) }()
	tick := time.NewTicker(r.every)
	defer tick.Stop()
	told := begin
	for ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-r.proxy.exited:
			cancel()
			continue
		case <-done:
			continue
		}
		s, err := r.proxy.look(&r.tally)
		if err != nil {
			r.outcome.died = true
			cancel()
			continue
		}
		s.seconds = time.Since(begin).Seconds()
		s.since(last)
		last = s
		r.samples = append(r.samples, s)
		if time.Since(told) >= time.Minute {
			told = time.Now()
			fmt.Fprintf(r.stderr, "%5.1f min: %4.0f arrivals/s, %4.0f open, heap %.1f MiB, resident %.1f MiB, %.0f goroutines, %.0f descriptors, first event %.1f / %.1f ms, %.2f cores\n",
				s.seconds/60, s.rate, s.open, s.heap, s.resident, s.goroutines, s.files, s.p50[wayThrough], s.p99[wayThrough], s.cores)
		}
	}
	<-done
	return nil
}

// restFor is how long connections may take to be given up when nobody asks any
// more: the proxy keeps those to the upstream for a minute.
const restFor = 90 * time.Second

// rest waits until all is over and looks at what is left.
func (r *soaking) rest() {
	o := &r.outcome
	r.load.running.Wait()
	r.client.close()
	r.up.settle(restFor)
	o.lastup = r.up.Live()
	r.up.CloseConns()
	for end := time.Now().Add(restFor); ; time.Sleep(200 * time.Millisecond) {
		s, err := r.proxy.look(&r.tally)
		if err != nil {
			o.died = true
			break
		}
		o.after = s
		if s.open == 0 && s.goroutines <= o.before.goroutines+remain && s.files <= o.before.files+remain && s.heap <= o.before.heap+remainHeap || time.Now().After(end) {
			break
		}
	}
	if info, err := os.Stat(r.proxy.log); err == nil {
		o.logged = info.Size()
	}
	o.died = o.died || !r.proxy.alive()
}
