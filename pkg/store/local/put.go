package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
)

// Put stores what write writes.
func (s *Store) Put(ctx context.Context, name string, write func(io.Writer) error) error {
	if err := s.ready(ctx, "put", name); err != nil {
		return err
	}
	if err := s.put(ctx, name, write); err != nil {
		return fmt.Errorf("put %s: %w", name, err)
	}
	return nil
}

func (s *Store) put(ctx context.Context, name string, write func(io.Writer) error) error {
	f, made, err := s.create(name)
	done := false
	defer func() { // also when write panics
		if f != nil {
			f.Abort()
		}
		if !done {
			s.unmake(made)
		}
	}()
	if err != nil {
		return err
	}
	w := &writer{ctx: ctx, w: f}
	if err := write(w); err != nil {
		return err
	}
	if err := cmp.Or(w.err, context.Cause(ctx), s.Present()); err != nil { // writing may have taken hours
		return err
	}
	_, existed := s.root.Lstat(name)
	if err := f.Commit(); err != nil {
		if f.Renamed() && errors.Is(existed, fs.ErrNotExist) {
			s.root.Remove(name) // there, but nobody can say for how long
		}
		return err
	}
	done = true
	return nil
}

// create begins the file and makes the directories above it. A rival Put that failed may remove a directory
// between the two, so it tries more than once.
func (s *Store) create(name string) (f *atomicfile.File, made []string, err error) {
	for range 10 {
		m, err := atomicfile.MkdirAllIn(s.root, path.Dir(name), dirMode)
		made = append(made, m...)
		if err == nil {
			f, err = atomicfile.CreateIn(s.root, name, fileMode)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return f, made, err
		}
	}
	return nil, made, fs.ErrNotExist
}

// unmake removes directories that were made for nothing; one that is in use by now stays.
func (s *Store) unmake(made []string) {
	for _, dir := range slices.Backward(made) {
		s.root.Remove(dir)
	}
}

// Rename renames a file or directory, and never replaces one.
func (s *Store) Rename(ctx context.Context, from, to string) error {
	if err := cmp.Or(s.ready(ctx, "rename", from), ready(ctx, "rename", to)); err != nil {
		return err
	}
	if _, err := s.root.Lstat(from); err != nil {
		return fmt.Errorf("rename %s: %w", from, absent(err))
	}
	made, err := atomicfile.MkdirAllIn(s.root, path.Dir(to), dirMode)
	if err == nil {
		err = atomicfile.RenameNew(s.root, from, to)
	}
	if err != nil {
		s.unmake(made)
		return err // says it all
	}
	return nil
}

// writer ends a Put when its context ends, also when the caller of Write does not look.
type writer struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (w *writer) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = context.Cause(w.ctx)
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.w.Write(p)
	w.err = err
	return n, err
}
