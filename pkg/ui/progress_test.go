package ui

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// recorder keeps what a terminal was sent, one entry for each write.
type recorder struct {
	mu     sync.Mutex
	writes []string
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, string(p))
	return len(p), nil
}

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.writes...)
}

// The line tells bytes, share, rate and time left, is drawn at most ten times a
// second, and leaves nothing behind.
func TestProgressLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var term recorder
		s := &Streams{Err: &term, ErrTTY: true, Width: 80}
		p := s.Progress("dump", 100<<20)
		for range 1000 {
			time.Sleep(time.Millisecond)
			p.Add(10 << 10)
		}
		// Just after the tenth tick, so that it has been drawn.
		time.Sleep(50 * time.Millisecond)
		got := term.all()
		if len(got) != 10 {
			t.Errorf("drawn %d times in a second, want 10", len(got))
		}
		last := got[len(got)-1]
		for _, want := range []string{"\r\x1b[Kdump  9.7", "MiB of 100 MiB", "  9%  ", "MiB/s  9s left"} {
			if !strings.Contains(last, want) {
				t.Errorf("line %q lacks %q", last, want)
			}
		}
		p.Done()
		p.Done()
		got = term.all()
		if last := got[len(got)-1]; last != clearLine {
			t.Errorf("after Done the last write is %q, want the line erased", last)
		}
		time.Sleep(time.Second)
		if len(term.all()) != len(got) {
			t.Error("drawn after Done")
		}
	})
}

// Where nobody watches nothing is written, and a nil Progress is harmless.
func TestProgressWithoutTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var errs bytes.Buffer
		s := &Streams{Err: &errs}
		p := s.Progress("dump", 10)
		p.Add(5)
		time.Sleep(time.Second)
		p.Set(7, 9)
		p.Done()
		if errs.Len() != 0 {
			t.Errorf("wrote %q", errs.String())
		}
		var none *Progress
		none.Add(1)
		none.Set(1, 2)
		none.SetTotal(3)
		none.Done()
	})
}

// A message takes the place of the line, which comes back below it.
func TestProgressMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var term recorder
		s := &Streams{Err: &term, ErrTTY: true}
		p := s.Progress("dump", 0)
		defer p.Done()
		time.Sleep(150 * time.Millisecond)
		fmt.Fprintln(s.Err, "a message")
		time.Sleep(100 * time.Millisecond)
		got := strings.Join(term.all(), "")
		want := clearLine + "dump  0s" + clearLine + "a message\n" + clearLine + "dump  0s"
		if got != want {
			t.Errorf("terminal saw %q, want %q", got, want)
		}
	})
}

// Two at once do not fight over the line: the newest has it, then the other.
func TestProgressNewestHasTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var term recorder
		s := &Streams{Err: &term, ErrTTY: true}
		first := s.Progress("first", 0)
		defer first.Done()
		second := s.Progress("second", 0)
		time.Sleep(150 * time.Millisecond)
		if got := strings.Join(term.all(), ""); strings.Contains(got, "first") || !strings.Contains(got, "second") {
			t.Errorf("while both run: %q", got)
		}
		second.Done()
		time.Sleep(100 * time.Millisecond)
		if got := strings.Join(term.all(), ""); !strings.HasSuffix(got, clearLine+"first  0s") {
			t.Errorf("after the second: %q", got)
		}
	})
}

// What is shown at given figures: an estimate that was passed gives no
// percentage, a stall no absurd promise, a narrow window no second line.
func TestProgressFigures(t *testing.T) {
	tests := []struct {
		name        string
		done, total int64
		after       time.Duration
		width       int
		want        string
	}{
		{"nothing known", 0, 0, 3 * time.Second, 0, "dump  3s"},
		{"total unknown", 10 << 20, 0, 10 * time.Second, 0, "dump  10.0 MiB  1.00 MiB/s  10s"},
		{"half", 50, 100, 10 * time.Second, 0, "dump  50 B of 100 B  50%  5 B/s  10s left"},
		{"whole", 100, 100, 10 * time.Second, 0, "dump  100 B of 100 B  100%  10 B/s"},
		{"more than estimated", 150, 100, 10 * time.Second, 0, "dump  150 B  15 B/s  10s"},
		{"nothing yet", 0, 100, 10 * time.Second, 0, "dump  0 B of 100 B  0%  0 B/s"},
		{"hardly moving", 10, 1 << 60, 10 * time.Second, 0, "dump  10 B of 1.00 EiB  0%  1 B/s  99d00h left"},
		{"narrow", 50, 100, 10 * time.Second, 20, "dump  50 B of 100 B"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			start := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
			p := &Progress{label: "dump", width: func() int { return tt.width }, started: start, lastAt: start}
			p.Set(tt.done, tt.total)
			if got := p.line(start.Add(tt.after)); got != tt.want {
				t.Errorf("line = %q, want %q", got, tt.want)
			}
		})
	}
}

var _ io.Writer = (*screen)(nil)

// Things that are counted are shown as a count, without a rate.
func TestProgressOfThings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var term recorder
		s := &Streams{Err: &term, ErrTTY: true, Width: 80}
		p := s.ProgressOf("compare", 12)
		p.Add(3)
		time.Sleep(150 * time.Millisecond)
		got := term.all()
		if last := got[len(got)-1]; !strings.HasSuffix(last, "compare  3 of 12  0s") {
			t.Errorf("line %q", last)
		}
		p.Done()
	})
}
