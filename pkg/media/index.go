package media

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// IndexName is the artifact of a media set that lists what its tree holds, before packing adds its suffix; TreeName is
// the tree.
const (
	IndexName = "index.jsonl"
	TreeName  = "tree/"
)

// ErrIndex means that an index is not one, or is not whole.
var ErrIndex = errors.New("malformed index")

// Totals is what an index lists.
type Totals struct {
	Files, Dirs, Symlinks int64
	Others                int64 // listed only: pipes, sockets, devices
	Bytes                 int64 // sizes of all files; hard links of each other count each
}

// Entries is the number of all of them.
func (t Totals) Entries() int64 { return t.Files + t.Dirs + t.Symlinks + t.Others }

func (t *Totals) add(e *Entry) {
	switch e.Type {
	case File:
		t.Files++
		t.Bytes += e.Size
	case Dir:
		t.Dirs++
	case Symlink:
		t.Symlinks++
	default:
		t.Others++
	}
}

// IndexWriter writes an index: one JSON object a line, the plain content of the artifact. Not for several goroutines.
type IndexWriter struct {
	w      *bufio.Writer
	line   []byte
	last   string
	totals Totals
	err    error
}

// NewIndexWriter writes an index to w, which stays the caller's to close.
func NewIndexWriter(w io.Writer) *IndexWriter {
	return &IndexWriter{w: bufio.NewWriterSize(w, 256<<10)}
}

// Write adds an entry. Entries come in the order of Compare, the root first.
func (w *IndexWriter) Write(e Entry) error {
	if w.err != nil {
		return w.err
	}
	if w.err = follows(w.totals.Entries(), w.last, e.Path); w.err == nil {
		w.err = e.Validate()
	}
	if w.err != nil {
		return w.err
	}
	w.line = appendEntry(w.line[:0], &e)
	if len(w.line) > maxLine {
		w.err = fmt.Errorf("%w: %.100q: line of %d bytes", errEntry, e.Path, len(w.line))
		return w.err
	}
	w.last = e.Path
	w.totals.add(&e)
	_, w.err = w.w.Write(w.line)
	return w.err
}

// Totals is what has been written so far.
func (w *IndexWriter) Totals() Totals { return w.totals }

// Close writes the trailer, without which an index is not whole. It does not close what is below.
func (w *IndexWriter) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.totals.Entries() == 0 {
		w.err = fmt.Errorf("%w: no entry for the root", ErrIndex)
		return w.err
	}
	if _, w.err = w.w.Write(appendTrailer(nil, w.totals)); w.err == nil {
		w.err = w.w.Flush()
	}
	err := w.err
	if w.err == nil {
		w.err = errors.New("index is closed")
	}
	return err
}

// follows refuses what is out of order.
func follows(n int64, last, path string) error {
	switch {
	case n == 0 && path != Root:
		return fmt.Errorf("%w: the first entry is not the root", ErrIndex)
	case n > 0 && Compare(last, path) >= 0:
		return fmt.Errorf("%w: %.100q after %.100q", ErrIndex, path, last)
	}
	return nil
}

// IndexReader reads an index: strictly, in bounded memory.
type IndexReader struct {
	r      *bufio.Reader
	long   []byte
	parent []string // directories that the next entry may lie in, outermost first
	last   string
	totals Totals
	err    error
}

// NewIndexReader reads the plain content of an index.
func NewIndexReader(r io.Reader) *IndexReader {
	return &IndexReader{r: bufio.NewReaderSize(r, 256<<10)}
}

// Totals is what has been read so far.
func (r *IndexReader) Totals() Totals { return r.totals }

// Next is the next entry. io.EOF comes only when the trailer was there, fits what was read, and nothing follows; every
// other end is ErrIndex, or the error of what is below. All paths are clean and relative, in the order of Compare, and
// each lies in a directory that was listed before it.
func (r *IndexReader) Next() (Entry, error) {
	if r.err != nil {
		return Entry{}, r.err
	}
	e, err := r.next()
	if err != nil {
		r.err = err
		return Entry{}, err
	}
	return e, nil
}

func (r *IndexReader) next() (Entry, error) {
	line, err := r.readLine()
	if err != nil {
		return Entry{}, err
	}
	e, totals, err := parseLine(line)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: line %d: %w", ErrIndex, r.totals.Entries()+1, err)
	}
	if totals != nil {
		return Entry{}, r.end(*totals)
	}
	if err := follows(r.totals.Entries(), r.last, e.Path); err != nil {
		return Entry{}, err
	}
	if err := r.nested(&e); err != nil {
		return Entry{}, err
	}
	r.last = e.Path
	r.totals.add(&e)
	return e, nil
}

// nested keeps the chain of directories down to the entry.
func (r *IndexReader) nested(e *Entry) error {
	if e.Path != Root {
		dir, _ := Split(e.Path)
		for len(r.parent) > 0 && r.parent[len(r.parent)-1] != dir {
			r.parent = r.parent[:len(r.parent)-1]
		}
		if len(r.parent) == 0 {
			return fmt.Errorf("%w: %.100q is in no directory of the index", ErrIndex, e.Path)
		}
	}
	if e.Type == Dir {
		r.parent = append(r.parent, e.Path)
	}
	return nil
}

// end compares the trailer with what was read.
func (r *IndexReader) end(t Totals) error {
	if r.totals.Entries() == 0 {
		return fmt.Errorf("%w: no entry for the root", ErrIndex)
	}
	if t != r.totals {
		return fmt.Errorf("%w: the trailer says %+v, there were %+v", ErrIndex, t, r.totals)
	}
	switch _, err := r.r.ReadByte(); {
	case err == nil:
		return fmt.Errorf("%w: something follows the trailer", ErrIndex)
	case !errors.Is(err, io.EOF):
		return err
	}
	return io.EOF
}

// readLine is the next line without its newline, valid until the next call.
func (r *IndexReader) readLine() ([]byte, error) {
	line, err := r.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		r.long = append(r.long[:0], line...)
		for errors.Is(err, bufio.ErrBufferFull) && len(r.long) <= maxLine {
			line, err = r.r.ReadSlice('\n')
			r.long = append(r.long, line...)
		}
		line = r.long
		if len(line) > maxLine {
			return nil, fmt.Errorf("%w: a line of more than %d bytes", ErrIndex, maxLine)
		}
	}
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("%w: it ends without its trailer", ErrIndex)
	case err != nil:
		return nil, err
	}
	return line[:len(line)-1], nil
}
