package media

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Unkept is what could not be given to the objects of a tree; the index has it all the same.
type Unkept struct {
	Owners Some // paths whose owner or group could not be set
	Xattrs Some // extended attributes
}

// Some is how many of a kind there are, and the first path, in the order of Compare, that has one.
type Some struct {
	Count int64
	First string
}

func (s *Some) add(path string) {
	if s.Count++; s.Count == 1 || Compare(path, s.First) < 0 {
		s.First = path
	}
}

// dresser gives objects their metadata.
type dresser struct {
	uid, gid uint32 // of the process: what new objects mostly have by themselves
	// wary takes setuid and setgid off files whose owner could not be set: they are rights of somebody else. A snapshot
	// keeps them, as what it describes.
	wary bool

	mu     sync.Mutex
	unkept Unkept
}

func newDresser() *dresser { return &dresser{uid: uint32(os.Geteuid()), gid: uint32(os.Getegid())} }

// report is what could not be set. It is for when nothing is dressed any more.
func (d *dresser) report() Unkept {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.unkept
}

// dress gives an object owner, attributes, time and mode, in the order in which none of them undoes or forbids another: a
// change of the owner clears capabilities and setuid, an access list changes the mode, and a mode may keep us from all of
// it. The entry is told which attributes are missing.
func (d *dresser) dress(o object, e *Entry) error {
	owned, err := d.own(o, e)
	if err != nil {
		return err
	}
	if err := d.mark(o, e, keptXattr); err != nil {
		return err
	}
	if err := setMTime(o.dir, o.name, e.MTime); err != nil || e.Type == Symlink { // which has no mode
		return err
	}
	mode := e.Mode
	if d.wary && !owned && e.Type == File {
		mode &^= 0o6000
	}
	return o.chmod(mode)
}

// mark sets those attributes that are wanted. What it could not set before it does not try again.
func (d *dresser) mark(o object, e *Entry, wanted func(name string) bool) error {
	for name, value := range e.Xattrs {
		if !wanted(name) || slices.Contains(e.Unkept, name) {
			continue
		}
		switch err := o.setXattr(name, value); {
		case err == nil:
		case unsettable(err):
			e.Unkept = append(e.Unkept, name)
			d.mu.Lock()
			d.unkept.Xattrs.add(e.Path)
			d.mu.Unlock()
		default:
			return fmt.Errorf("extended attribute %s: %w", name, err)
		}
	}
	return nil
}

// unsettable reports that another file system keeps no such attribute, or that there is no privilege.
func unsettable(err error) bool {
	for _, known := range []error{unix.EPERM, unix.EACCES, unix.EOPNOTSUPP, unix.EINVAL, unix.ENOSPC, unix.E2BIG, unix.ERANGE} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// own gives an object its owner and group, as far as this user may: only root may give files away.
func (d *dresser) own(o object, e *Entry) (owned bool, err error) {
	if d.uid != 0 && e.UID == d.uid && e.GID == d.gid {
		var st unix.Stat_t
		if err := o.stat(&st); err != nil {
			return false, err
		}
		if st.Uid == e.UID && st.Gid == e.GID {
			return true, nil
		}
	}
	forbidden := func(err error) bool { return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EINVAL) }
	if err := o.chown(int(e.UID), int(e.GID)); !forbidden(err) {
		return err == nil, err
	}
	d.mu.Lock()
	d.unkept.Owners.add(e.Path)
	d.mu.Unlock()
	// An owner may give a file to another group of theirs.
	if err := o.chown(-1, int(e.GID)); !forbidden(err) {
		return false, err
	}
	return false, nil
}

func (o object) stat(st *unix.Stat_t) error {
	if o.fd < 0 {
		return unix.Fstatat(o.dir, o.name, st, unix.AT_SYMLINK_NOFOLLOW)
	}
	return unix.Fstat(o.fd, st)
}

func (o object) chown(uid, gid int) error {
	if o.fd < 0 {
		return unix.Fchownat(o.dir, o.name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	}
	return unix.Fchown(o.fd, uid, gid)
}

// chmod is not for links: one that has taken the place of an object that is known by its name would be followed.
func (o object) chmod(mode uint32) error {
	if o.fd < 0 {
		return unix.Fchmodat(o.dir, o.name, mode, 0)
	}
	return unix.Fchmod(o.fd, mode)
}

// setMTime leaves the time of the last access alone.
func setMTime(dir int, name string, mtime int64) error {
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, timespec(mtime)}
	return unix.UtimesNanoAt(dir, name, times, unix.AT_SYMLINK_NOFOLLOW)
}

// timespec is floored: before 1970 too the nanoseconds count upwards.
func timespec(ns int64) unix.Timespec {
	sec, nsec := ns/1e9, ns%1e9
	if nsec < 0 {
		sec, nsec = sec-1, nsec+1e9
	}
	return unix.Timespec{Sec: sec, Nsec: nsec}
}
