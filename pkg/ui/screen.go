package ui

import (
	"io"
	"sync"
)

// clearLine goes to the first column and erases to the end of the line.
const clearLine = "\r\x1b[K"

// screen is standard error shared between lines that stay (messages, log) and
// one progress line at the bottom: before something else is written that line
// is erased, and the next tick draws it again below.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	shown *Progress   // whose line is on the terminal now
	bars  []*Progress // the newest one owns the line
}

func (sc *screen) Write(p []byte) (int, error) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.erase()
	return sc.w.Write(p)
}

func (sc *screen) erase() {
	if sc.shown != nil {
		_, _ = io.WriteString(sc.w, clearLine)
		sc.shown = nil
	}
}

func (sc *screen) add(p *Progress) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	sc.bars = append(sc.bars, p)
}

// draw shows the line of p if p is the newest.
func (sc *screen) draw(p *Progress, line string) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	if len(sc.bars) == 0 || sc.bars[len(sc.bars)-1] != p {
		return
	}
	sc.shown = p
	// One write, so that no half line is ever seen.
	_, _ = io.WriteString(sc.w, clearLine+line)
}

func (sc *screen) remove(p *Progress) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	for i, bar := range sc.bars {
		if bar == p {
			sc.bars = append(sc.bars[:i], sc.bars[i+1:]...)
			break
		}
	}
	if sc.shown == p {
		sc.erase()
	}
}
