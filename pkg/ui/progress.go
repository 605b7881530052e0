package ui

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
)

const (
	// redrawEvery bounds how often the line is drawn: ten times a second.
	redrawEvery = 100 * time.Millisecond
	// rateOver is the time over which the shown rate is smoothed.
	rateOver = 10 * time.Second
	// longest is the most that is promised for the rest; a stalled transfer
	// would otherwise exceed what a Duration can hold.
	longest = 99 * 24 * time.Hour
)

// Progress is one line at the bottom of the terminal that says how far a
// transfer of bytes has come. Its methods may be called from any goroutine, and
// on a nil Progress.
type Progress struct {
	screen *screen // nil: nobody is watching
	label  string
	things bool // what is counted are not bytes
	width  func() int

	done, total atomic.Int64

	started time.Time
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once

	// Owned by the drawing goroutine.
	lastAt   time.Time
	lastDone int64
	rate     float64 // bytes per second
}

// Progress starts a progress line; total is 0 when it is not known. Nothing is
// drawn unless standard error is a terminal. Call Done when the work has ended,
// however it ended. While several are shown the newest has the line.
//
// The first call replaces s.Err when that is not yet able to share its terminal
// with a line; what [System] returns is.
func (s *Streams) Progress(label string, total int64) *Progress {
	return s.progress(&Progress{label: label, width: s.width}, total)
}

// ProgressOf is Progress for things that are counted, such as tables: "comparing
// 3 of 12". It shows no rate, since one thing is not like another.
func (s *Streams) ProgressOf(label string, total int64) *Progress {
	return s.progress(&Progress{label: label, width: s.width, things: true}, total)
}

func (s *Streams) progress(p *Progress, total int64) *Progress {
	p.total.Store(total)
	if !s.ErrTTY {
		return p
	}
	sc, ok := s.Err.(*screen)
	if !ok {
		sc = &screen{w: s.Err}
		s.Err = sc
	}
	p.screen = sc
	p.started = time.Now()
	p.lastAt = p.started
	p.stop, p.stopped = make(chan struct{}), make(chan struct{})
	sc.add(p)
	go p.redraw()
	return p
}

func (s *Streams) width() int {
	if s.columns != nil {
		if w := s.columns(); w > 0 {
			return w
		}
	}
	return s.Width
}

// Add counts n more bytes.
func (p *Progress) Add(n int64) {
	if p != nil {
		p.done.Add(n)
	}
}

// SetTotal sets how many bytes there will be; 0 means unknown.
func (p *Progress) SetTotal(total int64) {
	if p != nil {
		p.total.Store(total)
	}
}

// Set replaces both figures; it fits where a library reports
// func(done, total int64).
func (p *Progress) Set(done, total int64) {
	if p != nil {
		p.done.Store(done)
		p.total.Store(total)
	}
}

// Done erases the line. It may be called again.
func (p *Progress) Done() {
	if p == nil || p.screen == nil {
		return
	}
	p.once.Do(func() {
		close(p.stop)
		<-p.stopped
		p.screen.remove(p)
	})
}

func (p *Progress) redraw() {
	defer close(p.stopped)
	tick := time.NewTicker(redrawEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-tick.C:
			p.screen.draw(p, p.line(time.Now()))
		}
	}
}

// line is what is shown at this moment. What does not fit is cut: a wrapped
// progress line could not be erased.
func (p *Progress) line(now time.Time) string {
	done, total := p.done.Load(), p.total.Load()
	p.measure(now, done)
	elapsed := now.Sub(p.started)

	line := Printable(p.label)
	switch {
	case done == 0 && total <= 0:
		// A stage that moves no bytes still shows that it lives.
		line += "  " + clock(elapsed)
	case p.things:
		line += fmt.Sprintf("  %s of %s  %s", Count(done), Count(total), clock(elapsed))
	case total <= 0 || done > total:
		// A total that was passed was a wrong estimate: no percentage from it.
		line += fmt.Sprintf("  %s  %s/s  %s", Bytes(done), Bytes(int64(p.rate)), clock(elapsed))
	default:
		line += fmt.Sprintf("  %s of %s  %d%%  %s/s", Bytes(done), Bytes(total), done*100/total, Bytes(int64(p.rate)))
		if p.rate >= 1 && done < total {
			seconds := min(float64(total-done)/p.rate, longest.Seconds())
			left := time.Duration(seconds * float64(time.Second))
			line += "  " + clock(left) + " left"
		}
	}
	if w := p.width(); w > 1 {
		line = text.Trim(line, w-1)
	}
	return line
}

// clock is Duration without tenths, which would only flicker.
func clock(d time.Duration) string {
	if d < 10*time.Second {
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return Duration(d.Truncate(time.Second))
}

// measure keeps a moving average: the plain one over the whole run at first,
// then one that forgets what lies more than rateOver back.
func (p *Progress) measure(now time.Time, done int64) {
	dt := now.Sub(p.lastAt).Seconds()
	if dt <= 0 {
		return
	}
	current := float64(done-p.lastDone) / dt
	window := min(now.Sub(p.started), rateOver).Seconds()
	weight := min(dt/window, 1)
	p.rate += weight * (current - p.rate)
	p.rate = max(p.rate, 0)
	p.lastAt, p.lastDone = now, done
}
