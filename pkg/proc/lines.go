package proc

import (
	"bytes"
	"strings"
)

const (
	maxLine   = 64 << 10
	tailLines = 20
)

// lines splits stderr, scrubs each line, keeps the last ones and hands all to emit. A line longer than maxLine is
// cut. It is used by one goroutine.
type lines struct {
	scrub *scrubber
	emit  func(string)

	buf  []byte
	long bool // the rest of the current line is dropped
	tail []string
}

func (l *lines) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			l.add(p)
			break
		}
		l.add(p[:i])
		l.flush()
		p = p[i+1:]
	}
	return n, nil
}

func (l *lines) add(p []byte) {
	if room := maxLine - len(l.buf); len(p) > room {
		p, l.long = p[:room], true
	}
	l.buf = append(l.buf, p...)
}

// flush ends the current line.
func (l *lines) flush() {
	line := strings.TrimSuffix(string(l.buf), "\r")
	if l.long {
		line = l.scrub.trimPartial(l.scrub.text(line)) + " …"
	} else {
		line = l.scrub.text(line)
	}
	l.buf, l.long = l.buf[:0], false
	line = strings.ToValidUTF8(line, "\uFFFD")
	if len(l.tail) == tailLines {
		l.tail = append(l.tail[:0], l.tail[1:]...)
	}
	l.tail = append(l.tail, line)
	if l.emit != nil {
		l.emit(line)
	}
}

// close ends a last line that has no newline.
func (l *lines) close() {
	if len(l.buf) > 0 {
		l.flush()
	}
}
