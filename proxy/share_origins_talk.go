package proxy

import (
	"context"
	_ "embed" // the scripts
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

var (
	//go:embed share_note.lua
	noteScript string
	//go:embed share_find.lua
	findScript string
)

// talk tells and asks once, and is false when that cannot be, or should wait.
func (o *originShare) talk() bool {
	ctx, cancel := context.WithTimeout(context.Background(), shareTimeout)
	defer cancel()
	return o.exchange(ctx, time.Now())
}

// exchange is talk in one round trip, which ends with ctx.
func (o *originShare) exchange(ctx context.Context, now time.Time) bool {
	if !o.s.up.Load() || o.failures > 0 && now.Before(o.until) {
		return false
	}
	pipe := o.s.client.Pipeline()
	told := o.tell(ctx, pipe, now)
	answers := o.ask(ctx, pipe)
	if pipe.Len() == 0 {
		// It has failed, and may be back.
		pipe.Ping(ctx)
	}
	_, err := pipe.Exec(ctx)
	if err == nil {
		err = o.hear(answers)
	}
	if err != nil {
		o.fail(err, now)
		return false
	}
	for on, n := range told {
		o.notes[on].told(n)
	}
	o.work()
	return true
}

// tell sends what was learned. It returns how many of each shelf.
func (o *originShare) tell(ctx context.Context, pipe redis.Pipeliner, now time.Time) (told [shelves]int) {
	for on := range o.notes {
		list := &o.notes[on]
		if told[on] = min(list.untold, noteBatch); told[on] == 0 {
			continue
		}
		args := append(make([]any, 0, 2+3*told[on]), sharedOrigins, keepLong.Milliseconds())
		for i := range told[on] {
			n := list.next(i)
			args = append(args, n.name, n.seconds(now), n.place)
		}
		pipe.Eval(ctx, noteScript, shelf(on).keys(), args...)
	}
	return told
}

// keys are those of a shelf.
func (s shelf) keys() []string {
	name := sharePrefix + "origins:" + shelfNames[s]
	return []string{name, name + ":old"}
}

// ask sends what is asked, as much as one talk may.
func (o *originShare) ask(ctx context.Context, pipe redis.Pipeliner) (answers [shelves]*redis.Cmd) {
	var args [shelves][]any
	names := 0
	for o.asking = 0; o.asking < len(o.questions) && names < askBatch; o.asking++ {
		q := o.questions[o.asking]
		names += len(q.names)
		for i, name := range q.names {
			args[q.shelves[i]] = append(args[q.shelves[i]], name)
		}
	}
	for on, names := range args {
		if len(names) > 0 {
			answers[on] = pipe.Eval(ctx, findScript, shelf(on).keys(), append([]any{sharedOrigins}, names...)...)
		}
	}
	return answers
}

// hear gives the answers to whoever asked.
func (o *originShare) hear(answers [shelves]*redis.Cmd) error {
	if st := o.s.current(); st != o.st {
		o.st, o.places = st, newSharedPlaces(st)
	}
	var said [shelves][]any
	for on, cmd := range answers {
		if cmd == nil {
			continue
		}
		var err error
		if said[on], err = cmd.Slice(); err != nil {
			return err
		}
		if asked := len(cmd.Args()) - len([]string{"EVAL", "script", "2", "young", "old", "most"}); len(said[on]) != asked {
			return errShareAnswer
		}
	}
	for _, q := range o.questions[:o.asking] {
		for i, name := range q.names {
			list := said[q.shelves[i]]
			said[q.shelves[i]] = list[1:]
			if place, some := list[0].(string); some {
				q.answers[i], _ = o.places.origin(name, place)
			}
		}
		q.heard = true
		close(q.done)
	}
	o.questions = slices.Delete(o.questions, 0, o.asking)
	return nil
}
