package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// sourceError is one of the source: the tree lacks a file, and the run goes on. Every other error ends it.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

func ofSource(err error) error {
	if err == nil {
		return nil
	}
	return &sourceError{err}
}

// content is what was read of a file.
type content struct {
	size    int64
	sha256  string
	extents []Extent // nil: not sparse
}

// copier copies and hashes the content of one file after the other. It is used by one goroutine.
type copier struct {
	ctx      context.Context //nolint:containedctx // of one run
	buf      []byte
	zeros    []byte // made when the first hole is met
	hash     hash.Hash
	progress func(n int64) // bytes that were read
	noClones *atomic.Bool  // of all copiers of a run: the file system has none
}

func newCopier(ctx context.Context, progress func(n int64), noClones *atomic.Bool) *copier {
	if progress == nil {
		progress = func(int64) {}
	}
	return &copier{ctx: ctx, buf: make([]byte, 256<<10), hash: sha256.New(), progress: progress, noClones: noClones}
}

func (c *copier) cancelled() error {
	if c.ctx.Err() != nil {
		return context.Cause(c.ctx)
	}
	return nil
}

// extentsOf finds the data of a sparse file among the first size bytes; nil: there are no holes.
func extentsOf(fd int, st *unix.Stat_t, size int64) ([]Extent, error) {
	if st.Blocks*512 >= size {
		return nil, nil
	}
	found := []Extent{}
	for at := int64(0); at < size; {
		data, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || err == nil && data >= size {
			break // a hole to the end
		}
		if errors.Is(err, unix.EINVAL) {
			return nil, nil // this file system cannot tell
		}
		if err != nil {
			return nil, err
		}
		hole, err := unix.Seek(fd, data, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		found = append(found, Extent{data, min(hole, size) - data})
		at = hole
	}
	if len(found) == 1 && found[0] == (Extent{0, size}) {
		return nil, nil
	}
	return found, nil
}

// fill gives a new file the content of another one: a clone where the file system has them, else a copy as copy makes it.
func (c *copier) fill(from, to int, st *unix.Stat_t, extents []Extent) (got content, cloned bool, err error) {
	if !c.noClones.Load() && st.Size > 0 {
		got, cloned, err := c.clone(from, to)
		if cloned {
			return got, true, err
		}
		if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOSYS) {
			c.noClones.Store(true)
		}
	}
	got, err = c.copy(from, to, st, extents)
	return got, false, err
}

// copy reads the file once: what is hashed is what is written. It takes no more than the size that the file had when it
// was opened, so one that grows for ever ends. extents are where its data lie; nil: where the file system says. to -1
// writes nowhere.
func (c *copier) copy(from, to int, st *unix.Stat_t, extents []Extent) (content, error) {
	c.hash.Reset()
	var err error
	if extents == nil {
		if extents, err = extentsOf(from, st, st.Size); err != nil {
			return content{}, ofSource(err)
		}
	}
	if extents == nil {
		n, err := c.data(from, to, 0, st.Size)
		return c.sum(n, nil), err
	}
	at := int64(0)
	for _, x := range extents {
		if err := c.hole(x.Offset - at); err != nil {
			return content{}, err
		}
		n, err := c.data(from, to, x.Offset, x.Length)
		if err != nil {
			return content{}, err
		}
		if n < x.Length { // it shrank meanwhile
			return c.sum(x.Offset+n, nil), truncate(to, x.Offset+n)
		}
		at = x.Offset + x.Length
	}
	if err := c.hole(st.Size - at); err != nil {
		return content{}, err
	}
	return c.sum(st.Size, extents), truncate(to, st.Size)
}

// read hashes what a file holds, of which no more than size is wanted: what is longer has another hash.
func (c *copier) read(from int, size int64) (content, error) {
	c.hash.Reset()
	n, err := c.data(from, -1, 0, size+1)
	return c.sum(n, nil), err
}

func truncate(fd int, size int64) error {
	if fd < 0 {
		return nil
	}
	return unix.Ftruncate(fd, size)
}

func (c *copier) sum(size int64, extents []Extent) content {
	var sum [sha256.Size]byte
	return content{size: size, sha256: hex.EncodeToString(c.hash.Sum(sum[:0])), extents: extents}
}

// data copies a run of bytes, and returns how many there were.
func (c *copier) data(from, to int, at, length int64) (done int64, err error) {
	for done < length {
		if err := c.cancelled(); err != nil {
			return done, err
		}
		part := c.buf[:min(int64(len(c.buf)), length-done)]
		n, err := retry(func() (int, error) { return unix.Pread(from, part, at+done) })
		if err != nil {
			return done, ofSource(err)
		}
		if n == 0 {
			return done, nil
		}
		c.hash.Write(part[:n])
		if err := pwrite(to, part[:n], at+done); err != nil {
			return done, err
		}
		done += int64(n)
		c.progress(int64(n))
	}
	return done, nil
}

func pwrite(fd int, data []byte, at int64) error {
	for fd >= 0 && len(data) > 0 {
		n, err := retry(func() (int, error) { return unix.Pwrite(fd, data, at) })
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		data, at = data[n:], at+int64(n)
	}
	return nil
}

// hole hashes zeros: the hash is that of the content, whatever of it lies on a disk.
func (c *copier) hole(length int64) error {
	if c.zeros == nil {
		c.zeros = make([]byte, 256<<10)
	}
	for length > 0 {
		if err := c.cancelled(); err != nil {
			return err
		}
		n := min(length, int64(len(c.zeros)))
		c.hash.Write(c.zeros[:n])
		length -= n
	}
	return nil
}

// clone shares the blocks of the source, where the file system can: at one moment, and without writing. Then the copy is
// hashed: the source may be another one by now.
func (c *copier) clone(from, to int) (_ content, cloned bool, _ error) {
	if err := unix.IoctlFileClone(to, from); err != nil {
		return content{}, false, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(to, &st); err != nil {
		return content{}, true, err
	}
	got, err := c.copy(to, -1, &st, nil)
	if err == nil && got.size != st.Size {
		err = fmt.Errorf("read %d of %d bytes", got.size, st.Size)
	}
	var ours *sourceError
	if errors.As(err, &ours) {
		err = ours.err // what was read is the copy
	}
	return got, true, err
}
