package archive

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
)

// Links says which symbolic links a reader takes. None is ever followed.
type Links int

const (
	// LinksInside refuses those that are absolute or leave the root.
	LinksInside Links = iota
	// LinksAsStored takes all: configuration is full of links to elsewhere, and they are only text.
	LinksAsStored
)

// ReadOptions say what a Reader takes.
type ReadOptions struct {
	Limits Limits
	Links  Links
}

// known is what a reader remembers of an entry.
type known struct {
	dir, implicit bool
	file          bool // that a hard link may name
	size          int64
	sum           string
}

// Reader reads an archive from anywhere.
type Reader struct {
	raw    *zeroTail
	tar    *tar.Reader
	o      ReadOptions
	seen   map[string]known
	count  int
	names  int64
	now    Entry // that Read reads
	hash   hash.Hash
	err    error
	inside bool // a file's content is being read
}

// NewReader reads from r, which stays the caller's to close.
func NewReader(r io.Reader, o ReadOptions) *Reader {
	o.Limits = o.Limits.withDefaults()
	raw := &zeroTail{r: r, left: o.Limits.Bytes}
	return &Reader{raw: raw, tar: tar.NewReader(raw), o: o, seen: map[string]known{}}
}

// Next goes to the next entry; what was not read of the last one is passed over, but hashed. io.EOF is the end of a
// whole archive. After an error it is returned again and again.
//
// Size and SHA256 of the entry are filled in for hard links only; those of a file are known when it was read: Sum.
func (r *Reader) Next() (Entry, error) {
	if r.err == nil {
		r.now, r.err = r.next()
	}
	if r.err != nil {
		return Entry{}, r.err
	}
	return r.now, nil
}

func (r *Reader) next() (Entry, error) {
	if err := r.finish(); err != nil {
		return Entry{}, err
	}
	h, err := r.tar.Next()
	if errors.Is(err, io.EOF) {
		return Entry{}, r.end()
	}
	if err != nil {
		return Entry{}, malformed(err)
	}
	e, err := entryOf(h)
	if err == nil {
		err = r.admit(&e, h.Name)
	}
	if err != nil {
		return Entry{}, err
	}
	r.hash, r.inside = sha256.New(), e.Type == File && e.Link == ""
	return e, nil
}

// end holds the stream to two blocks of zeros and nothing but zeros after them.
func (r *Reader) end() error {
	before := r.raw.zeros
	for buf := make([]byte, 32<<10); ; {
		n, err := r.raw.Read(buf)
		if strings.Trim(string(buf[:n]), "\x00") != "" {
			return fmt.Errorf("%w: there is more after the end", ErrMalformed)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	if before < 1024 {
		return fmt.Errorf("%w: it was cut: %w", ErrMalformed, io.ErrUnexpectedEOF)
	}
	return io.EOF
}

// malformed tells what is wrong with the bytes from what could not be read.
func malformed(err error) error {
	var hostile *HostileError
	if errors.As(err, &hostile) || !errors.Is(err, tar.ErrHeader) && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, tar.ErrFieldTooLong) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// admit holds an entry against the limits and those before it, and remembers it.
func (r *Reader) admit(e *Entry, name string) error {
	refuse := func(why Reason) error { return &HostileError{Name: name, Reason: why} }
	r.count++
	r.names += int64(len(e.Path))
	if r.count > r.o.Limits.Entries || r.names > r.o.Limits.NameBytes {
		return refuse(ReasonManyEntries)
	}
	if err := r.o.Limits.checkName(e.Path); err != nil {
		return err
	}
	if was, found := r.seen[e.Path]; found && !(was.implicit && e.Type == Dir) {
		return refuse(ReasonDuplicate)
	}
	for i, c := range e.Path {
		if c != '/' {
			continue
		}
		parent, found := r.seen[e.Path[:i]]
		if found && !parent.dir {
			return refuse(ReasonBelow)
		}
		if !found {
			if r.names += int64(i); r.names > r.o.Limits.NameBytes {
				return refuse(ReasonManyEntries)
			}
			r.seen[e.Path[:i]] = known{dir: true, implicit: true}
		}
	}
	switch {
	case e.Link != "":
		to := r.seen[e.Link]
		if !to.file || len(e.Xattrs) > 0 {
			return refuse(ReasonHardLink)
		}
		e.Size, e.SHA256 = to.size, to.sum
	case e.Type == Symlink && (e.Target == "" || len(e.Target) > r.o.Limits.Name):
		return refuse(ReasonLongName)
	case e.Type == Symlink && r.o.Links == LinksInside && leaves(e.Path, e.Target):
		return refuse(ReasonLinkOutside)
	}
	r.seen[e.Path] = known{dir: e.Type == Dir, file: e.Type == File, size: e.Size, sum: e.SHA256}
	return nil
}

// Read reads the content of the entry that Next returned.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if !r.inside {
		return 0, io.EOF
	}
	n, err := r.tar.Read(p)
	r.hash.Write(p[:n])
	if err != nil && !errors.Is(err, io.EOF) {
		err = malformed(err)
		r.err = err
	}
	return n, err
}

// finish reads what is left of an entry.
func (r *Reader) finish() error {
	if !r.inside {
		return nil
	}
	if _, err := io.Copy(io.Discard, io.MultiReader(r)); err != nil {
		return err
	}
	r.inside = false
	k := r.seen[r.now.Path]
	k.sum = hex.EncodeToString(r.hash.Sum(nil))
	r.seen[r.now.Path] = k
	r.now.SHA256 = k.sum
	return nil
}

// Sum reads what is left of the entry, and returns the SHA-256 of its whole content in lower-case hex digits; "" for
// what has no content.
func (r *Reader) Sum() (string, error) {
	if r.err == nil {
		r.err = r.finish()
	}
	return r.now.SHA256, r.err
}
