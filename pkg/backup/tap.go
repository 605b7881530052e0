package backup

import (
	"io"
	"sync/atomic"

	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// tocTap reads an archive's table of contents while the archive passes by. When
// it has it, bytes go straight through.
type tocTap struct {
	next io.Writer
	pipe *io.PipeWriter // nil once the table of contents is read
	done chan struct{}
	toc  *pgdump.TOC
	err  error
}

func newTOCTap(next io.Writer) *tocTap {
	read, write := io.Pipe()
	t := &tocTap{next: next, pipe: write, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.toc, t.err = pgdump.ReadTOC(read)
		_ = read.Close() // a Write that waits gets io.ErrClosedPipe
	}()
	return t
}

func (t *tocTap) Write(p []byte) (int, error) {
	if t.pipe != nil {
		if _, err := t.pipe.Write(p); err != nil {
			t.pipe = nil
		}
	}
	return t.next.Write(p)
}

// result waits for the table of contents; call it after the last Write.
func (t *tocTap) result() (*pgdump.TOC, error) {
	t.abandon()
	return t.toc, t.err
}

// abandon ends the reader.
func (t *tocTap) abandon() {
	if t.pipe != nil {
		_ = t.pipe.Close()
	}
	<-t.done
}

// meter counts the bytes that are written to it.
type meter struct {
	n      atomic.Int64
	report func(done int64)
}

func newMeter(report func(done int64)) *meter { return &meter{report: report} }

func (m *meter) Write(p []byte) (int, error) {
	m.report(m.n.Add(int64(len(p))))
	return len(p), nil
}
