package archive

import (
	"archive/tar"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// PackOptions say how paths are read.
type PackOptions struct {
	// MaxFile is the size of the largest file that is taken; 0: 64 MiB. A file is read whole before anything of it is
	// written: an archive has no way back, and a file that changes while it is read is read again.
	MaxFile int64
	Limits  Limits // of what readers will take
	// Step, if set, is called at named points, for tests that interfere there.
	Step func(name, path string)
}

// Packed is what became of the paths.
type Packed struct {
	// Entries are all that was met, in order, stored or not.
	Entries []Entry
	Totals  Totals
	// Missing are the paths that are not there, as they were named.
	Missing []string
	// Unread is what is there and could not be stored, one reason each.
	Unread []string
	// Skipped are devices, FIFOs and sockets, which were not opened.
	Skipped []string
	// Changing are files that were different at each look: what is stored may never have been their content.
	Changing []string
	// Outside are links from what is stored to what is there and not stored, "path -> target".
	Outside []string
}

// looks is how often a file that changes while it is read is read.
const looks = 5

// Pack writes the paths, and what is below them, to w. They are absolute; one that lies below another adds nothing. A
// path that is itself a link is stored with what it points to. The error is about w, the context, or a path that is
// none (ErrPath); what cannot be read is in Packed.
func Pack(ctx context.Context, w io.Writer, paths []string, o PackOptions) (Packed, error) {
	p := &packer{
		ctx: ctx, o: o, tar: tar.NewWriter(w), named: map[string]bool{}, inodes: map[inode]string{},
		users: map[int]string{}, groups: map[int]string{},
	}
	p.o.MaxFile = cmp.Or(o.MaxFile, 64<<20)
	p.o.Limits = o.Limits.withDefaults()
	if p.o.Step == nil {
		p.o.Step = func(string, string) {}
	}
	roots, err := p.roots(paths)
	if err != nil {
		return p.Packed, err
	}
	for _, path := range roots {
		if err := p.root(path); err != nil {
			return p.Packed, err
		}
	}
	p.findOutside()
	return p.Packed, p.tar.Close()
}

type inode struct{ dev, ino uint64 }

type packer struct {
	Packed
	ctx           context.Context
	o             PackOptions
	tar           *tar.Writer
	named         map[string]bool
	inodes        map[inode]string // of files with several links: the first entry
	users, groups map[int]string
}

// roots are the paths in the order of Compare, those that links point to among them, without those below others.
func (p *packer) roots(paths []string) ([]string, error) {
	var all []string
	for _, path := range paths {
		clean := filepath.Clean(path)
		if !filepath.IsAbs(path) || clean == "/" || strings.ContainsRune(path, 0) {
			return nil, fmt.Errorf("%q: %w", path, ErrPath)
		}
		name := clean[1:]
		p.named[name] = true
		all = append(all, name)
		var st unix.Stat_t
		if unix.Lstat(clean, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
			if real, err := filepath.EvalSymlinks(clean); err == nil && real != "/" {
				all = append(all, real[1:])
			}
		}
	}
	slices.SortFunc(all, Compare)
	var roots []string
	for _, name := range all {
		if len(roots) == 0 || !Below(name, roots[len(roots)-1]) {
			roots = append(roots, name)
		}
	}
	return roots, nil
}

// root packs one path. What leads to it is the operator's, links included; below it none is followed.
func (p *packer) root(name string) error {
	path := "/" + name
	parent, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return p.failed(Entry{Path: name, Type: Missing, Named: p.named[name]}, err)
	}
	defer unix.Close(parent)
	return p.one(parent, name)
}

// failed notes what cannot be stored.
func (p *packer) failed(e Entry, err error) error {
	switch {
	case p.ctx.Err() != nil:
		return context.Cause(p.ctx)
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		if !e.Named {
			return nil // it was there when its directory was listed: gone is gone
		}
		e.Type, e.Problem = Missing, ""
		p.Missing = append(p.Missing, "/"+e.Path)
	default:
		e.Problem, e.Size, e.SHA256, e.Link = err.Error(), 0, "", ""
		p.Unread = append(p.Unread, fmt.Sprintf("/%s: %v", e.Path, err))
	}
	p.note(e)
	return nil
}

func (p *packer) note(e Entry) {
	p.Entries = append(p.Entries, e)
	p.Totals.Add(e)
}

// one packs a name of an open directory, and what is below it.
func (p *packer) one(parent int, name string) error {
	base := filepath.Base(name)
	e := Entry{Path: name, Named: p.named[name]}
	if err := p.o.Limits.checkName(name); err != nil {
		return p.failed(e, err)
	}
	if len(p.Entries) >= p.o.Limits.Entries {
		return &HostileError{Name: name, Reason: ReasonManyEntries}
	}
	var st unix.Stat_t
	for try := 1; ; try++ {
		if err := context.Cause(p.ctx); err != nil {
			return err
		}
		if err := unix.Fstatat(parent, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			e.Type = Missing
			return p.failed(e, err)
		}
		p.describe(&e, &st)
		p.o.Step("seen", name)
		again, err := p.store(parent, e, &st)
		if !again || err != nil || try == looks {
			if again && err == nil { // what it is changed each time
				return p.failed(e, errors.New("it changed at every look"))
			}
			return err
		}
	}
}

// store packs what st was a moment ago; again says that it is something else by now.
func (p *packer) store(parent int, e Entry, st *unix.Stat_t) (again bool, err error) {
	switch e.Type {
	case Symlink:
		target, err := readlink(parent, filepath.Base(e.Path))
		if errors.Is(err, unix.EINVAL) {
			return true, nil
		}
		if err != nil {
			return false, p.failed(e, err)
		}
		e.Target, e.Mode = target, 0o777
		return false, p.put(e, nil)
	case Dir:
		return p.dir(parent, e)
	case File:
		return p.file(parent, e, st)
	}
	p.Skipped = append(p.Skipped, "/"+e.Path)
	p.note(e)
	return false, nil
}

func (p *packer) put(e Entry, content []byte) error {
	if err := writeEntry(p.tar, e, content); err != nil {
		return fmt.Errorf("/%s: %w", e.Path, err)
	}
	p.note(e)
	return nil
}

func (p *packer) dir(parent int, e Entry) (again bool, err error) {
	fd, err := openat(parent, filepath.Base(e.Path), unix.O_RDONLY|unix.O_DIRECTORY)
	switch {
	case changedType(err):
		return true, nil
	case err != nil:
		return false, p.failed(e, err)
	}
	defer fd.Close()
	names, err := fd.Readdirnames(-1)
	if err == nil {
		e.Xattrs, err = xattrs(int(fd.Fd()))
	}
	if err != nil {
		return false, p.failed(e, err)
	}
	if err := p.put(e, nil); err != nil {
		return false, err
	}
	slices.Sort(names)
	p.o.Step("listed", e.Path)
	for _, name := range names {
		if err := p.one(int(fd.Fd()), e.Path+"/"+name); err != nil {
			return false, err
		}
	}
	return false, nil
}

func (p *packer) file(parent int, e Entry, st *unix.Stat_t) (again bool, err error) {
	id := inode{st.Dev, st.Ino}
	if first, found := p.inodes[id]; found && st.Nlink > 1 {
		i, _ := slices.BinarySearchFunc(p.Entries, first, func(e Entry, path string) int { return Compare(e.Path, path) })
		e.Link, e.Size, e.SHA256, e.MTime = first, p.Entries[i].Size, p.Entries[i].SHA256, p.Entries[i].MTime
		return false, p.put(e, nil)
	}
	var content []byte
	for try := 1; ; try++ {
		var seen unix.Stat_t
		var stable bool
		content, stable, err = p.read(parent, &e, &seen)
		switch {
		case changedType(err):
			return true, nil
		case err != nil:
			return false, p.failed(e, err)
		}
		*st = seen
		if stable {
			break
		}
		if try == looks {
			p.Changing = append(p.Changing, "/"+e.Path)
			break
		}
	}
	named, xattrs := e.Named, e.Xattrs
	p.describe(&e, st)
	e.Named, e.Xattrs, e.Size, e.SHA256 = named, xattrs, int64(len(content)), sum(content)
	if err := p.put(e, content); err != nil {
		return false, err
	}
	if st.Nlink > 1 {
		p.inodes[inode{st.Dev, st.Ino}] = e.Path
	}
	return false, nil
}

// errIrregular: it was a regular file when it was looked at.
var errIrregular = errors.New("no regular file")

// changedType reports whether an open failed since the name is something else by now.
func changedType(err error) bool {
	return errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ENXIO) || errors.Is(err, errIrregular)
}

// read reads a file whole. stable says that it was the same before and after.
func (p *packer) read(parent int, e *Entry, st *unix.Stat_t) (content []byte, stable bool, err error) {
	// Not blocking: what was a file may be a FIFO by now.
	fd, err := openat(parent, filepath.Base(e.Path), unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, false, err
	}
	defer fd.Close()
	if err := unix.Fstat(int(fd.Fd()), st); err != nil {
		return nil, false, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, false, errIrregular
	}
	tooLarge := fmt.Errorf("more than %d MiB, which is more than a configuration file may have: keep it among the media, or leave it out of the paths", p.o.MaxFile>>20)
	if st.Size > p.o.MaxFile {
		return nil, false, tooLarge
	}
	if content, err = io.ReadAll(io.LimitReader(ctxReader{p.ctx, fd}, p.o.MaxFile+1)); err != nil {
		return nil, false, err
	}
	if int64(len(content)) > p.o.MaxFile {
		return nil, false, tooLarge
	}
	if e.Xattrs, err = xattrs(int(fd.Fd())); err != nil {
		return nil, false, err
	}
	p.o.Step("read", e.Path)
	var after, named unix.Stat_t
	if err := unix.Fstat(int(fd.Fd()), &after); err != nil {
		return nil, false, err
	}
	if err := unix.Fstatat(parent, filepath.Base(e.Path), &named, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, false, err
	}
	same := func(a *unix.Stat_t) bool {
		return a.Size == st.Size && a.Mtim == st.Mtim && a.Ctim == st.Ctim && a.Ino == st.Ino && a.Dev == st.Dev
	}
	return content, same(&after) && same(&named) && int64(len(content)) == st.Size, nil
}

// describe fills in what stat says.
func (p *packer) describe(e *Entry, st *unix.Stat_t) {
	*e = Entry{Path: e.Path, Named: e.Named, Mode: st.Mode & allModes, UID: int(st.Uid), GID: int(st.Gid), MTime: st.Mtim.Nano()}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type, e.Size = File, st.Size
	case unix.S_IFDIR:
		e.Type = Dir
	case unix.S_IFLNK:
		e.Type = Symlink
	case unix.S_IFIFO:
		e.Type = FIFO
	case unix.S_IFSOCK:
		e.Type = Socket
	default:
		e.Type = Device
	}
	e.User = name(p.users, e.UID, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
	e.Group = name(p.groups, e.GID, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

// name looks a number up once; "" when it has no name.
func name(known map[int]string, id int, look func(string) (string, error)) string {
	text, found := known[id]
	if !found {
		if n, err := look(strconv.Itoa(id)); err == nil {
			text = n
		}
		known[id] = text
	}
	return text
}

// findOutside names the links to what is there and not stored.
func (p *packer) findOutside() {
	for _, e := range p.Entries {
		if e.Type != Symlink || !e.Stored() {
			continue
		}
		real, err := filepath.EvalSymlinks("/" + e.Path)
		if err != nil || len(real) < 2 {
			continue
		}
		_, found := slices.BinarySearchFunc(p.Entries, real[1:], func(e Entry, path string) int { return Compare(e.Path, path) })
		if !found {
			p.Outside = append(p.Outside, "/"+e.Path+" -> "+e.Target)
		}
	}
}
