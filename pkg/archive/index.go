package archive

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// maxLine bounds a line of an index: a name and a target of 4096 bytes, and the extended attributes of an inode.
const maxLine = 1 << 20

// Totals count what is stored.
type Totals struct {
	Entries     int64 `json:"entries"` // lines of the index, whether stored or not
	Files       int64 `json:"files"`
	Directories int64 `json:"directories"`
	Links       int64 `json:"links"` // symbolic ones
	Bytes       int64 `json:"bytes"` // of the files
}

// Add counts an entry.
func (t *Totals) Add(e Entry) {
	t.Entries++
	switch {
	case !e.Stored():
	case e.Type == File:
		t.Files++
		t.Bytes += e.Size
	case e.Type == Dir:
		t.Directories++
	case e.Type == Symlink:
		t.Links++
	}
}

// line is an entry as JSON. A text that is not UTF-8 stands in its _b64 field.
type line struct {
	Path      string            `json:"path,omitempty"`
	PathB64   []byte            `json:"path_b64,omitempty"`
	Type      Type              `json:"type,omitempty"`
	Size      int64             `json:"size,omitempty"`
	Mode      string            `json:"mode,omitempty"` // octal
	UID       int               `json:"uid"`
	GID       int               `json:"gid"`
	User      string            `json:"user,omitempty"`
	Group     string            `json:"group,omitempty"`
	MTime     int64             `json:"mtime_ns,omitempty"`
	Target    string            `json:"target,omitempty"`
	TargetB64 []byte            `json:"target_b64,omitempty"`
	Link      string            `json:"link,omitempty"`
	LinkB64   []byte            `json:"link_b64,omitempty"`
	Xattrs    map[string][]byte `json:"xattrs,omitempty"` // base64
	SHA256    string            `json:"sha256,omitempty"`
	Named     bool              `json:"named,omitempty"`
	Problem   string            `json:"problem,omitempty"`

	End *Totals `json:"end,omitempty"`
}

func split(s string) (text string, raw []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

func joined(text string, raw []byte) string {
	if len(raw) > 0 {
		return string(raw)
	}
	return text
}

func toLine(e Entry) line {
	l := line{
		Type: e.Type, Size: e.Size, UID: e.UID, GID: e.GID, User: e.User, Group: e.Group, MTime: e.MTime,
		Xattrs: e.Xattrs, SHA256: e.SHA256, Named: e.Named, Problem: e.Problem, Mode: fmt.Sprintf("%04o", e.Mode),
	}
	l.Path, l.PathB64 = split(e.Path)
	l.Target, l.TargetB64 = split(e.Target)
	l.Link, l.LinkB64 = split(e.Link)
	return l
}

func (l line) entry() (Entry, error) {
	e := Entry{
		Path: joined(l.Path, l.PathB64), Type: l.Type, Size: l.Size, UID: l.UID, GID: l.GID, User: l.User, Group: l.Group,
		MTime: l.MTime, Target: joined(l.Target, l.TargetB64), Link: joined(l.Link, l.LinkB64), Xattrs: l.Xattrs, SHA256: l.SHA256,
		Named: l.Named, Problem: l.Problem,
	}
	if _, err := fmt.Sscanf(l.Mode, "%o", &e.Mode); err != nil || e.Mode&^allModes != 0 {
		return e, fmt.Errorf("mode %q", l.Mode)
	}
	switch e.Type {
	case File, Dir, Symlink, FIFO, Socket, Device, Missing:
	default:
		return e, fmt.Errorf("type %q", string(e.Type))
	}
	sum, err := hex.DecodeString(e.SHA256)
	if err != nil || e.Size < 0 || (e.Type == File && e.Stored()) != (len(sum) == 32) {
		return e, errors.New("size or hash")
	}
	return e, nil
}

// IndexWriter writes an index: a JSON object on each line, and the totals on the last one.
type IndexWriter struct {
	w      *bufio.Writer
	totals Totals
	last   string
}

// NewIndexWriter writes to w. The caller calls Close, which writes the end and does not close w.
func NewIndexWriter(w io.Writer) *IndexWriter { return &IndexWriter{w: bufio.NewWriter(w)} }

// Write adds an entry; they come in the order of Compare.
func (w *IndexWriter) Write(e Entry) error {
	if w.totals.Entries > 0 && Compare(w.last, e.Path) >= 0 {
		return fmt.Errorf("index: %q does not come after %q", e.Path, w.last)
	}
	w.last = e.Path
	w.totals.Add(e)
	return w.put(toLine(e))
}

func (w *IndexWriter) put(v any) error {
	data, err := json.Marshal(v)
	if err == nil {
		_, err = w.w.Write(append(data, '\n'))
	}
	return err
}

// Close writes the totals.
func (w *IndexWriter) Close() error {
	if err := w.put(map[string]Totals{"end": w.totals}); err != nil {
		return err
	}
	return w.w.Flush()
}

// IndexReader reads an index strictly.
type IndexReader struct {
	s      *bufio.Scanner
	limits Limits
	totals Totals
	last   string
	names  int64
}

// NewIndexReader reads from r within the limits.
func NewIndexReader(r io.Reader, l Limits) *IndexReader {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	return &IndexReader{s: s, limits: l.withDefaults()}
}

// Next returns the next entry, io.EOF at the end of a whole index, and ErrMalformed or a *HostileError otherwise.
func (r *IndexReader) Next() (Entry, error) {
	l, err := r.line()
	if err != nil {
		return Entry{}, err
	}
	if l.End != nil {
		switch {
		case *l.End != r.totals:
			return Entry{}, r.malformed(errors.New("the totals differ"))
		case r.s.Scan():
			return Entry{}, r.malformed(errors.New("there is more after the end"))
		case r.s.Err() != nil:
			return Entry{}, r.s.Err()
		}
		return Entry{}, io.EOF
	}
	e, err := l.entry()
	if err != nil {
		return Entry{}, r.malformed(err)
	}
	if err := r.limits.checkName(e.Path); err != nil {
		return Entry{}, err
	}
	if r.totals.Entries > 0 && Compare(r.last, e.Path) >= 0 {
		return Entry{}, r.malformed(errors.New("not in order"))
	}
	r.last = e.Path
	r.totals.Add(e)
	r.names += int64(len(e.Path))
	if r.totals.Entries > int64(r.limits.Entries) || r.names > r.limits.NameBytes {
		return Entry{}, &HostileError{Reason: ReasonManyEntries}
	}
	return e, nil
}

func (r *IndexReader) line() (l line, err error) {
	if !r.s.Scan() {
		if err := r.s.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
			return l, err
		} else if err != nil {
			return l, r.malformed(err)
		}
		return l, r.malformed(io.ErrUnexpectedEOF)
	}
	if err := json.Unmarshal(r.s.Bytes(), &l); err != nil {
		return l, r.malformed(err)
	}
	return l, nil
}

func (r *IndexReader) malformed(err error) error {
	return fmt.Errorf("%w: line %d of the index: %w", ErrMalformed, r.totals.Entries+1, err)
}

// Totals is what was read so far.
func (r *IndexReader) Totals() Totals { return r.totals }
