package warm

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bmad-forge/forgectl/pkg/rediscache"
)

const (
	inFlight   = 4         // batches
	batchBytes = 256 << 10 // after which a batch is sent
	batchRows  = 1000
	large      = 8 << 20 // a batch that is sent alone, and whose memory is given back
)

// grace is how long replies to what was sent are waited for when ctx has ended.
const grace = 5 * time.Second

// batch are commands that are sent together.
type batch struct {
	commands []byte
	sets     []set
}

// set says of a command where its key is, and how large its value.
type set struct{ from, to, size int }

// sender writes batches in one goroutine and reads the replies in another one, while the next batch is made.
type sender struct {
	wire    *rediscache.Wire
	sum     *Summary // its Written, Present and Bytes are the reader's until finish
	heard   func()   // after each batch
	failed  func(error)
	free    chan *batch
	full    chan *batch
	sent    chan *batch
	stopped atomic.Bool // nothing more is written
	running sync.WaitGroup
	err     error // the first, under once
	once    sync.Once
	hurry   func() bool
}

func newSender(ctx context.Context, wire *rediscache.Wire, sum *Summary, heard func(), failed func(error)) *sender {
	s := &sender{wire: wire, sum: sum, heard: heard, failed: failed, free: make(chan *batch, inFlight), full: make(chan *batch, inFlight), sent: make(chan *batch, inFlight)}
	for range inFlight {
		s.free <- &batch{}
	}
	// What is under way then is still counted, but not for long.
	s.hurry = context.AfterFunc(ctx, func() {
		s.stopped.Store(true)
		wire.Hurry(time.Now().Add(grace))
	})
	s.running.Go(s.write)
	s.running.Go(s.read)
	return s
}

// give takes a batch, and is another one to fill.
func (s *sender) give(b *batch) *batch {
	alone := len(b.commands) > large
	s.full <- b
	if alone {
		var all []*batch
		for range inFlight {
			all = append(all, <-s.free)
		}
		for _, b := range all {
			s.free <- b
		}
	}
	return <-s.free
}

// finish waits for the replies to what was sent, and is the first error.
func (s *sender) finish() error {
	close(s.full)
	s.running.Wait()
	s.hurry()
	return s.err
}

func (s *sender) fail(err error) {
	s.once.Do(func() {
		s.err = err
		s.stopped.Store(true)
		s.failed(err)
	})
}

func (s *sender) write() {
	defer close(s.sent)
	for b := range s.full {
		if s.stopped.Load() {
			s.back(b)
			continue
		}
		commands := b.commands
		s.sent <- b // its replies may come before all is written
		if err := s.wire.Write(commands); err != nil {
			s.fail(rediscache.Explain(err))
		}
	}
}

func (s *sender) back(b *batch) {
	b.commands, b.sets = b.commands[:0], b.sets[:0]
	if cap(b.commands) > large {
		b.commands = nil
	}
	s.free <- b
}

// read takes the replies. After one that refuses it goes on: what was sent behind it may have been done.
func (s *sender) read() {
	broken := false
	for b := range s.sent {
		for _, one := range b.sets {
			if broken {
				break
			}
			set, err := s.wire.Set()
			var refused rediscache.ReplyError
			switch {
			case errors.As(err, &refused):
				s.fail(fmt.Errorf("set %.100q: %w", b.commands[one.from:one.to], rediscache.Explain(err)))
			case err != nil:
				broken = true
				s.fail(rediscache.Explain(err))
			case set:
				s.sum.Written++
				s.sum.Bytes += int64(one.size)
			default:
				s.sum.Present++
			}
		}
		s.heard()
		s.back(b)
	}
}
