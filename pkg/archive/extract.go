package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ExtractOptions say how an archive becomes files.
type ExtractOptions struct {
	ReadOptions
	// Select, if set, chooses entries. A hard link whose first name is not chosen is an error.
	Select func(Entry) bool
	// Owner, if set, says who gets an entry; otherwise everything stays with who runs this. Files of others need root.
	Owner func(Entry) (uid, gid int)
	// Special permits setuid and setgid bits; they are dropped otherwise.
	Special bool
}

// Extracted is what became of an archive.
type Extracted struct {
	Totals Totals
	// Dropped are entries whose setuid or setgid bit was not permitted.
	Dropped []string
	// Attributes is how many extended attributes the file system or the kernel did not take.
	Attributes int
}

// implicitMode is that of directories that the archive implies and does not describe.
const implicitMode = 0o755

// Extract makes the entries below dir, which must be there and empty (ErrNotEmpty). Files and directories are on
// stable storage when it returns without an error.
func Extract(ctx context.Context, r io.Reader, dir string, o ExtractOptions) (Extracted, error) {
	root, err := os.OpenFile(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Extracted{}, err
	}
	defer root.Close()
	if _, err := root.Readdirnames(1); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%s: %w", dir, ErrNotEmpty)
		}
		return Extracted{}, err
	}
	x := &extractor{root: root, o: o, made: map[string]int{}}
	defer x.leave()
	reader := NewReader(ctxReader{ctx, r}, o.ReadOptions)
	for {
		e, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil && (o.Select == nil || o.Select(e)) {
			if err = x.make(e, reader); err != nil {
				err = fmt.Errorf("extract %s: %w", e.Path, err)
			}
		}
		if err != nil {
			return x.Extracted, err
		}
	}
	for i := len(x.dirs) - 1; i >= 0; i-- {
		if err := x.dressDir(x.dirs[i]); err != nil {
			return x.Extracted, fmt.Errorf("extract %s: %w", x.dirs[i].Path, err)
		}
	}
	return x.Extracted, root.Sync()
}

type extractor struct {
	Extracted
	root *os.File
	o    ExtractOptions
	made map[string]int // directories, the implied ones included: where they are in dirs
	dirs []Entry        // which get mode, owner and time last, the innermost first

	open    *os.File // the directory that was worked in last
	openDir string
}

func (x *extractor) remember(dir Entry) {
	x.made[dir.Path] = len(x.dirs)
	x.dirs = append(x.dirs, dir)
}

func (x *extractor) leave() {
	if x.open != nil && x.open != x.root {
		x.open.Close()
	}
	x.open = nil
}

// enter opens a directory below the root, one element after the other. Those that the archive implies are made.
func (x *extractor) enter(dir string) (*os.File, error) {
	if dir == "." {
		return x.root, nil
	}
	if x.open != nil && x.openDir == dir {
		return x.open, nil
	}
	x.leave()
	now, at := x.root, ""
	for element := range strings.SplitSeq(dir, "/") {
		at = filepath.Join(at, element)
		if _, made := x.made[at]; !made {
			if err := unix.Mkdirat(int(now.Fd()), element, 0o700); err != nil {
				return nil, err
			}
			x.remember(Entry{Path: at, Type: Dir, Mode: implicitMode, UID: -1, GID: -1})
		}
		next, err := openat(int(now.Fd()), element, unix.O_RDONLY|unix.O_DIRECTORY)
		if now != x.root {
			now.Close()
		}
		if err != nil {
			return nil, err
		}
		now = next
	}
	x.open, x.openDir = now, dir
	return now, nil
}

func (x *extractor) make(e Entry, content io.Reader) error {
	parent, err := x.enter(filepath.Dir(e.Path))
	if err != nil {
		return err
	}
	dir, base := int(parent.Fd()), filepath.Base(e.Path)
	switch {
	case e.Type == Dir:
		if i, made := x.made[e.Path]; made { // an implied one: it stays where it is, before what is in it
			x.dirs[i] = e
		} else if err = unix.Mkdirat(dir, base, 0o700); err == nil {
			x.remember(e)
		}
	case e.Type == Symlink:
		if err = unix.Symlinkat(e.Target, dir, base); err == nil {
			err = x.dressLink(dir, base, e)
		}
	case e.Link != "":
		err = x.link(e)
	default:
		err = x.file(dir, base, &e, content)
	}
	if err == nil {
		if e.Type == File && e.SHA256 == "" {
			e.SHA256 = "-" // counted, whatever it is
		}
		x.Totals.Add(e)
	}
	return err
}

func (x *extractor) link(e Entry) error {
	from, err := x.descend(filepath.Dir(e.Link))
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := x.descend(filepath.Dir(e.Path))
	if err != nil {
		return err
	}
	defer to.Close()
	return unix.Linkat(int(from.Fd()), filepath.Base(e.Link), int(to.Fd()), filepath.Base(e.Path), 0)
}

// descend opens a directory that was made already.
func (x *extractor) descend(dir string) (*os.File, error) {
	now, err := openat(int(x.root.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil || dir == "." {
		return now, err
	}
	for element := range strings.SplitSeq(dir, "/") {
		next, err := openat(int(now.Fd()), element, unix.O_RDONLY|unix.O_DIRECTORY)
		now.Close()
		if err != nil {
			return nil, err
		}
		now = next
	}
	return now, nil
}

func (x *extractor) file(dir int, base string, e *Entry, content io.Reader) error {
	f, err := openat(dir, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(f, io.MultiReader(content))
	if err != nil {
		return err
	}
	if n != e.Size {
		return fmt.Errorf("%w: %d bytes instead of %d", ErrMalformed, n, e.Size)
	}
	return x.dress(f, *e)
}

// Dress gives an open file or directory owner, attributes, mode and time, in the order in which each survives the next.
// own, if not nil, says whose it is. lost is how many extended attributes were not taken; dropped that it would have
// been setuid or setgid, and special does not permit that.
func Dress(f *os.File, e Entry, own func(Entry) (uid, gid int), special bool) (lost int, dropped bool, err error) {
	if own != nil {
		uid, gid := own(e)
		if err := f.Chown(uid, gid); err != nil {
			return 0, false, err
		}
	}
	for name, value := range e.Xattrs {
		if err := unix.Fsetxattr(int(f.Fd()), name, value, 0); err != nil {
			lost++
		}
	}
	mode := e.Mode
	if mode&(setuid|setgid) != 0 && !special {
		mode, dropped = mode&^(setuid|setgid), true
	}
	if err := unix.Fchmod(int(f.Fd()), mode); err != nil {
		return lost, dropped, err
	}
	return lost, dropped, futimens(int(f.Fd()), e.MTime)
}

// dress dresses what was made, and brings it to stable storage.
func (x *extractor) dress(f *os.File, e Entry) error {
	if e.UID < 0 { // implied: it has a mode and nothing else
		return errors.Join(unix.Fchmod(int(f.Fd()), e.Mode), f.Sync())
	}
	lost, dropped, err := Dress(f, e, x.o.Owner, x.o.Special)
	x.Attributes += lost
	if dropped {
		x.Dropped = append(x.Dropped, e.Path)
	}
	return errors.Join(err, f.Sync())
}

func (x *extractor) dressLink(dir int, base string, e Entry) error {
	if x.o.Owner != nil {
		uid, gid := x.o.Owner(e)
		if err := unix.Fchownat(dir, base, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return err
		}
	}
	t := unix.NsecToTimespec(e.MTime)
	return unix.UtimesNanoAt(dir, base, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
}

func (x *extractor) dressDir(e Entry) error {
	f, err := x.descend(e.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	return x.dress(f, e)
}

// futimens sets the times of an open file, to the nanosecond.
func futimens(fd int, ns int64) error {
	t := unix.NsecToTimespec(ns)
	return unix.UtimesNanoAt(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", fd), []unix.Timespec{t, t}, 0)
}
