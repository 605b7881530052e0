package rediscache

import (
	"context"
	"errors"
	"slices"
	"time"
)

// flushGrace is how long replies to what was sent are waited for when a flush is
// interrupted, so that what was removed is counted.
const flushGrace = 5 * time.Second

// sweep is one pass over all keys, on a connection of its own.
//
// What bounds it is the one thread of the server, so that never waits for us: the
// cursor comes at the beginning of an answer, and with it the next keys are asked
// for at once. While the server looks for these, the present ones are read, and
// UNLINK is sent for them. More than that is never under way, so that others come
// to their turn in between.
type sweep struct {
	*flush
	wire     *Wire
	commands []byte  // in the making,
	about    []reply // and what they will be answered with
	due      []reply // in the order of the commands that were sent
	next     uint64  // where SCAN goes on
	keys     []string
	page     page
}

// reply says what an answer that is still to come is about.
type reply int

const (
	toScan reply = iota
	ofScan       // the rest of an answer to SCAN, whose cursor was read
	toUnlink
	toMeasure
)

// pass goes once over all keys.
func (f *flush) pass(ctx context.Context) error {
	wire, err := OpenWire(ctx, f.client)
	if err != nil {
		return err
	}
	defer func() { _ = wire.Close() }()
	stop := context.AfterFunc(ctx, func() { wire.Hurry(time.Now().Add(flushGrace)) })
	defer stop()
	s := &sweep{flush: f, wire: wire}
	err = s.run(ctx)
	for err != nil && len(s.due) > 0 { // what was sent may have been done: it is counted
		_ = s.answer()
	}
	return Explain(err)
}

// run is the pass. It ends with the first error, when answers may be due still.
func (s *sweep) run(ctx context.Context) error {
	// Who is to go slowly, or has to look into values, does one thing at a time.
	ahead := s.Rate == 0 && s.Stale == nil
	if err := s.ask(ctx, 0); err != nil {
		return err
	}
	for seen := int64(scanCount); ; seen += scanCount {
		if err := s.answer(); err != nil {
			return err
		}
		next := s.next
		if ahead && next != 0 {
			if err := s.ask(ctx, next); err != nil {
				return err
			}
		}
		if err := s.answer(); err != nil {
			return err
		}
		if err := s.remove(ctx, s.chosen()); err != nil {
			return err
		}
		if s.Progress != nil {
			s.Progress(min(seen, s.total), s.total)
		}
		if next == 0 {
			return nil
		}
		if !ahead {
			if err := s.ask(ctx, next); err != nil {
				return err
			}
		}
	}
}

// ask sends SCAN, unless others are waiting: then it steps back first.
func (s *sweep) ask(ctx context.Context, cursor uint64) error {
	if last := s.probe.recent(); last > uneasy {
		select {
		case <-ctx.Done():
		case <-time.After(last):
		}
	}
	s.commands = appendScan(s.commands, cursor, s.match())
	s.about = append(s.about, toScan)
	return s.send(ctx)
}

// send writes what is in the making.
func (s *sweep) send(ctx context.Context) error {
	err := context.Cause(ctx)
	if err == nil {
		err = s.wire.Write(s.commands)
	}
	if err == nil {
		s.due = append(s.due, s.about...)
	}
	s.commands, s.about = s.commands[:0], s.about[:0]
	return err
}

// chosen are the keys of the page that are meant.
func (s *sweep) chosen() []string {
	keys := slices.DeleteFunc(s.keys, func(k string) bool { return !s.has(k) })
	s.looked += int64(len(keys))
	return keys
}

// remove sends UNLINK, in commands that are short, and takes the answers that come
// before those to the next SCAN.
func (s *sweep) remove(ctx context.Context, keys []string) (err error) {
	if s.Stale != nil {
		var passed int64
		keys, passed, err = s.stale(ctx, s.Stale, keys)
		s.passed += passed
		if err != nil {
			return err
		}
	}
	batch := unlinkBatch
	if s.Rate > 0 {
		batch = min(batch, max(s.Rate/20, 1)) // not in bursts
	}
	for some := range slices.Chunk(keys, batch) {
		s.unlink(some)
		if s.Rate == 0 {
			continue
		}
		if err := s.sent(ctx); err != nil {
			return err
		}
		if err := s.pace.wait(ctx, len(some)); err != nil {
			return err
		}
	}
	return s.sent(ctx)
}

// unlink adds the commands for one batch. Some keys are measured just before.
func (s *sweep) unlink(keys []string) {
	for i := 0; i < len(keys); i += measureShare {
		s.commands = appendCommand(s.commands, []string{"MEMORY", "USAGE", keys[i]})
		s.about = append(s.about, toMeasure)
	}
	s.commands = appendUnlink(s.commands, keys)
	s.about = append(s.about, toUnlink)
}

// sent sends, and takes the answers that come before one to SCAN.
func (s *sweep) sent(ctx context.Context) error {
	if len(s.commands) > 0 {
		if err := s.send(ctx); err != nil {
			return err
		}
	}
	for len(s.due) > 0 && s.due[0] != toScan {
		if err := s.answer(); err != nil {
			return err
		}
	}
	return nil
}

// answer takes the next one. After an error of the connection none is due any more.
func (s *sweep) answer() (err error) {
	is := s.due[0]
	if is == toScan {
		if s.next, err = s.wire.cursor(); err == nil {
			s.due[0] = ofScan
			return nil
		}
	}
	s.due = s.due[1:]
	var n int64
	var known bool
	switch is {
	case ofScan:
		s.keys, err = s.wire.keys(&s.page)
	case toUnlink:
		n, _, err = s.wire.number()
		s.removed += n
	case toMeasure:
		if n, known, err = s.wire.number(); known {
			s.measured++
			s.bytes += n
		}
	}
	var refused ReplyError
	switch {
	case !errors.As(err, &refused):
		if err != nil {
			s.due = nil
		}
	case is == toMeasure: // somebody may not measure, and yet remove
		return nil
	}
	return err
}
