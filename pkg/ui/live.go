package ui

import (
	"bytes"
	"fmt"
	"strings"
)

// Live is a block of lines on the terminal that is drawn anew again and again, where
// standard error is one; elsewhere it is nothing. It belongs to one goroutine, and no
// progress line is shown beside it.
type Live struct {
	s     *Streams
	lines int
}

// Live starts a block, which is empty.
func (s *Streams) Live() *Live { return &Live{s: s} }

// Draw replaces the block by what render writes to standard output of the streams
// that it is given. What is too wide is cut by the caller's table.
func (l *Live) Draw(render func(*Streams) error) {
	if !l.s.ErrTTY {
		return
	}
	var out bytes.Buffer
	inner := *l.s
	inner.Out, inner.OutTTY, inner.Width = &out, true, l.s.width()
	if render(&inner) != nil {
		return // it is drawn again in a moment
	}
	l.show(out.String())
}

// Done erases the block.
func (l *Live) Done() {
	if l.s.ErrTTY {
		l.show("")
	}
}

// show writes in one go, so that no half block is ever seen.
func (l *Live) show(text string) {
	up := ""
	if l.lines > 0 {
		up = fmt.Sprintf("\x1b[%dA", l.lines)
	}
	l.lines = strings.Count(text, "\n")
	_, _ = fmt.Fprint(l.s.Err, "\r"+up+"\x1b[J"+text)
}
