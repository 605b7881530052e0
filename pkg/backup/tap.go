package backup

import (
	"io"
	"sync/atomic"

	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// tocTap reads an archive's table of contents while the archive passes by, and
// counts its bytes. When it has the contents, bytes go straight through.
type tocTap struct {
	meter *meter
	next  io.Writer
	pipe  *io.PipeWriter // nil once the table of contents is read
	done  chan struct{}
	toc   *pgdump.TOC
	err   error
}

func newTOCTap(m *meter, next io.Writer) *tocTap {
	read, write := io.Pipe()
	t := &tocTap{meter: m, next: next, pipe: write, done: make(chan struct{})}
	go func() {
		defer close(t.done)
		t.toc, t.err = pgdump.ReadTOC(read)
		_ = read.Close() // a Write that waits gets io.ErrClosedPipe
	}()
	return t
}

func (t *tocTap) Write(p []byte) (int, error) {
	t.pass(p)
	return t.next.Write(p)
}

// ReadFrom implements io.ReaderFrom, since most of an archive need not be copied:
// what is next reads for itself, where it can.
func (t *tocTap) ReadFrom(r io.Reader) (int64, error) { return io.Copy(t.next, tapped{t, r}) }

// tapped shows what is read to the tap.
type tapped struct {
	t *tocTap
	r io.Reader
}

func (t tapped) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	t.t.pass(p[:n])
	return n, err
}

func (t *tocTap) pass(p []byte) {
	t.meter.add(len(p))
	if t.pipe != nil {
		if _, err := t.pipe.Write(p); err != nil {
			t.pipe = nil
		}
	}
}

// result waits for the table of contents; call it after the last byte.
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

// meter counts bytes, of several archives at once.
type meter struct {
	n      atomic.Int64
	report func(done int64)
}

func newMeter(report func(done int64)) *meter { return &meter{report: report} }

func (m *meter) add(n int) { m.report(m.n.Add(int64(n))) }
