package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// place is one of the directories that forgectl has to itself.
type place struct {
	setting, path string
	missing       Level    // how bad it is when it is not there
	ours          []string // names in it that are forgectl's own, all the way down
}

func (x *exam) places() []place {
	var kinds []string
	for _, k := range catalog.Kinds() {
		kinds = append(kinds, string(k))
	}
	return []place{
		{"repository", x.Repository, Critical, kinds},
		// Other things may be there too: it can be the home of the user who runs drills.
		{"state_dir", x.StateDir, Info, []string{"history", "intents", "locks", "remember", "repositories"}},
		{"scratch_dir", x.ScratchDir, Info, nil},
	}
}

// checkFiles looks at permissions and owners of what is forgectl's own.
func checkFiles(_ context.Context, x *exam) []Finding {
	var all []Finding
	for _, p := range x.places() {
		all = append(all, p.check()...)
	}
	return all
}

func (p place) check() []Finding {
	info, err := os.Stat(p.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []Finding{p.absent()}
	case err != nil:
		return unknown(err, "sudo forgectl doctor")
	case !info.IsDir():
		return []Finding{found(Critical, []string{"forgectl config show " + p.setting}, "%s is no directory", p.path)}
	}
	if err := unix.Access(p.path, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return []Finding{found(Critical, []string{"ls -ld " + proc.ShellWord(p.path), "id"}, "%s cannot be used by this user: %v", p.path, err)}
	}
	s, err := p.survey(info)
	if err != nil {
		return unknown(err, "sudo forgectl doctor")
	}
	var all []Finding
	if n := len(s.open); n == 1 && s.open[0] == "." {
		f := found(Warning, []string{"chmod 0700 " + proc.ShellWord(p.path)}, "others may look into %s", p.path)
		f.Fix = p.tightening("take the rights of others from "+p.path, s.open)
		all = append(all, f)
	} else if n > 0 {
		f := found(Warning, []string{"forgectl doctor --fix"}, "%s of %s open to others, first %s", count(n, "name"), p.setting, filepath.Join(p.path, s.open[0]))
		f.Fix = p.tightening(fmt.Sprintf("take the rights of others from %s in %s: %s", count(n, "name"), p.path, some(s.open)), s.open)
		all = append(all, f)
	}
	if len(s.foreign) > 0 {
		remedy := []string{fmt.Sprintf("sudo chown -R --reference=%s %s", proc.ShellWord(p.path), proc.ShellWord(filepath.Join(p.path, s.foreign[0])))}
		all = append(all, found(Warning, remedy, "%s belongs to %s, but not %s in it, first %s: root and that user cannot take turns",
			p.path, userName(s.owner), count(len(s.foreign), "name"), filepath.Join(p.path, s.foreign[0])))
	}
	if len(all) == 0 {
		return ok("%s is %s's alone", p.path, userName(s.owner))
	}
	return all
}

// absent: a repository that is not there is more likely not mounted than new;
// the others are made when they are needed.
func (p place) absent() Finding {
	remedy := []string{"install -d -m 0700 " + proc.ShellWord(p.path)}
	f := found(p.missing, remedy, "%s %s is not there yet", p.setting, p.path)
	if p.missing == Critical {
		f.Message = fmt.Sprintf("%s %s does not exist: is it mounted?", p.setting, p.path)
		if _, err := os.Stat(filepath.Dir(p.path)); err != nil {
			return f // a whole path that is missing is not ours to make
		}
	}
	f.Fix = &Fix{What: "make the directory " + p.path, Do: func(context.Context) error { return atomicfile.MkdirAll(p.path, 0o700) }}
	return f
}

// survey is what a walk through a place found; names are below it.
type survey struct {
	owner   uint32
	open    []string // somebody else has a right
	foreign []string // belongs to somebody else than the place
}

func (p place) survey(top fs.FileInfo) (survey, error) {
	s := survey{owner: owner(top)}
	s.look(".", top)
	root, err := os.OpenRoot(p.path)
	if err != nil {
		return s, err
	}
	defer root.Close()
	for _, name := range p.ours {
		err := fs.WalkDir(root.FS(), name, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // never made, or gone since
			}
			if err != nil {
				return err
			}
			if d.Type()&fs.ModeSymlink != 0 {
				return nil // its permissions are those of what it points to
			}
			if d.IsDir() && path.Base(name) == "tree" {
				return fs.SkipDir // media keep the owners and modes of their originals
			}
			info, err := d.Info()
			if err == nil {
				s.look(name, info)
			}
			return nil // what has gone since needs no look
		})
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *survey) look(name string, info fs.FileInfo) {
	if info.Mode().Perm()&0o077 != 0 {
		s.open = append(s.open, name)
	}
	if owner(info) != s.owner {
		s.foreign = append(s.foreign, name)
	}
}

// some is the first few names of a list.
func some(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

func (p place) tightening(what string, names []string) *Fix {
	return &Fix{What: what, Do: func(context.Context) error { return p.tighten(names) }}
}

// tighten takes the rights of group and others. No symbolic link leads it out of
// the place, whoever puts one there meanwhile.
func (p place) tighten(names []string) error {
	root, err := os.OpenRoot(p.path)
	if err != nil {
		return err
	}
	defer root.Close()
	var errs []error
	for _, name := range names {
		info, err := root.Lstat(name)
		if err == nil && info.Mode()&fs.ModeSymlink == 0 {
			err = root.Chmod(name, info.Mode().Perm()&^0o077)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func owner(info fs.FileInfo) uint32 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid
	}
	return 0
}

func userName(uid uint32) string {
	if name, err := lookupName(uid); err == nil {
		return name
	}
	return "user " + strconv.FormatUint(uint64(uid), 10)
}
