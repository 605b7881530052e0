package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/atomicfile"
)

// ConfigResult is what a restore did.
type ConfigResult struct {
	ConfigPlan
	Done []ConfigChange // in the order in which they were done, also when an error ended it
	Kept string         // the directory with what was replaced, and the script "undo"; "" when nothing was changed
}

// ErrConfigChanged means that what is there is not what the plan was made for.
var ErrConfigChanged = errors.New("the files changed since the plan was made")

// Config brings configuration files back. First the whole set is read and compared with what is there; then Confirm is
// asked; then what will be replaced is kept aside, on stable storage, together with a script that brings it back; then
// each file takes its place by a rename, with owner, mode and time. What is there and not in the set stays. A kill or
// an error leaves some files restored and others not: the same restore again does the rest, and the script undoes it.
//
// What leads to a path that was named for the backup is the operator's, links included; below it no link leads out.
func Config(ctx context.Context, o ConfigOptions) (r ConfigResult, err error) {
	o = o.withDefaults()
	plan, index, err := o.plan(ctx)
	r.ConfigPlan = plan
	if err != nil {
		return r, err
	}
	if err := plan.conflict(); err != nil {
		return r, err
	}
	changes := plan.Changes()
	if len(changes) == 0 {
		return r, nil
	}
	if o.Confirm != nil {
		if err := o.Confirm(ctx, plan); err != nil {
			return r, err
		}
	}
	o.Step("confirmed")
	if r.Kept, err = o.keep(ctx, changes, roots(index)); err != nil {
		return r, fmt.Errorf("keep what would be replaced: %w", err)
	}
	o.Step("kept")
	w := &configWriter{o: o, owners: newOwners(), roots: roots(index), changes: map[string]ConfigChange{}, open: map[string]*os.Root{}}
	defer w.close()
	for _, c := range changes {
		w.changes[c.Path] = c
	}
	err = o.reader().Each(ctx, index, func(e archive.Entry, content io.Reader) error {
		c, found := w.changes[e.Path]
		if !found {
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := w.write(c, content); err != nil {
			return fmt.Errorf("restore %s: %w", c.Name(), err)
		}
		r.Done = append(r.Done, c)
		o.Step("restored")
		return nil
	})
	return r, errors.Join(err, w.dressDirs())
}

// configWriter puts entries into their places.
type configWriter struct {
	o       ConfigOptions
	owners  *owners
	roots   []string // absolute
	changes map[string]ConfigChange
	open    map[string]*os.Root
	dirs    []ConfigChange // which are dressed last
}

func (w *configWriter) close() {
	for _, root := range w.open {
		_ = root.Close()
	}
}

// place is the directory that an entry lies below, opened so that no link leads out of it, and the name there. For a
// file that was named itself that is the directory that it lies in.
func (w *configWriter) place(path string) (*os.Root, string, error) {
	i := slices.IndexFunc(w.roots, func(root string) bool { return archive.Below(path, root[1:]) })
	if i < 0 {
		return nil, "", fs.ErrInvalid
	}
	dir, rest := w.roots[i], strings.TrimPrefix(path, w.roots[i][1:])
	name := strings.TrimPrefix(rest, "/")
	if rest == "" {
		dir, name = filepath.Dir(dir), filepath.Base(dir)
	}
	if root, found := w.open[dir]; found {
		return root, name, nil
	}
	if rest == "" {
		if err := atomicfile.MkdirAll(dir, 0o755); err != nil {
			return nil, "", err
		}
	}
	root, err := os.OpenRoot(dir)
	if err == nil {
		w.open[dir] = root
	}
	return root, name, err
}

func (w *configWriter) write(c ConfigChange, content io.Reader) error {
	root, name, err := w.place(c.Path)
	if err != nil {
		return err
	}
	switch {
	case c.Type == archive.Dir:
		w.dirs = append(w.dirs, c)
		if c.State != ConfigAdd {
			return nil
		}
		if err := root.Mkdir(name, 0o700); err != nil {
			return err
		}
		return atomicfile.SyncDirIn(root, filepath.Dir(name))
	case c.Type == archive.Symlink:
		if err := atomicfile.SymlinkIn(root, c.Target, name); err != nil || !w.owners.permitted {
			return err
		}
		uid, gid := w.owners.of(c.Entry)
		return root.Lchown(name, uid, gid)
	case c.Link != "":
		return w.link(root, name, c)
	}
	f, err := atomicfile.CreateDressedIn(root, name, func(f *os.File) error { return w.dress(f, c.Entry) })
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	return f.Commit()
}

// link makes a name of a file that the set has under another one as well. The content is that of the other name, so it
// is copied from there: a hard link to what somebody may have exchanged meanwhile would be one to anything.
func (w *configWriter) link(root *os.Root, name string, c ConfigChange) error {
	from, other, err := w.place(c.Link)
	if err != nil {
		return err
	}
	source, err := from.Open(other)
	if err != nil {
		return err
	}
	defer source.Close()
	f, err := atomicfile.CreateDressedIn(root, name, func(f *os.File) error { return w.dress(f, c.Entry) })
	if err != nil {
		return err
	}
	defer f.Abort()
	if n, err := io.Copy(f, io.LimitReader(source, c.Size+1)); err != nil || n != c.Size {
		return errors.Join(err, fmt.Errorf("/%s: %w", c.Link, ErrConfigChanged))
	}
	return f.Commit()
}

func (w *configWriter) dress(f *os.File, e archive.Entry) error {
	var own func(archive.Entry) (int, int)
	if w.owners.permitted {
		own = w.owners.of
	}
	lost, _, err := archive.Dress(f, e, own, true)
	if lost > 0 {
		w.o.Logger.Warn("extended attributes were not taken", "path", "/"+e.Path, "count", lost)
	}
	return err
}

// dressDirs comes last, the innermost first: until then directories that were made are nobody else's.
func (w *configWriter) dressDirs() error {
	var errs []error
	for _, c := range slices.Backward(w.dirs) {
		root, name, err := w.place(c.Path)
		if err == nil {
			err = w.dressDir(root, name, c)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("restore %s: %w", c.Name(), err))
		}
	}
	return errors.Join(errs...)
}

func (w *configWriter) dressDir(root *os.Root, name string, c ConfigChange) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	if fi, err := d.Stat(); err != nil || !fi.IsDir() {
		return errors.Join(err, ErrConfigChanged)
	}
	return errors.Join(w.dress(d, c.Entry), d.Sync())
}
