package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/media"
)

// errMoved means that somebody has put something else there since.
var errMoved = errors.New("something else is there by now")

// mediaExchange carries out an intent about files: each move puts what comes in into its place in the live directory,
// and what was there into its place below tree/ of the directory in.Name. At the end that directory gets the name
// in.Aside. No unit is stopped: there is something under each name at every moment, and a process that has a file open
// keeps the old one.
type mediaExchange struct {
	MediaOptions
	intent Intent
}

// run exchanges. After an error everything is as it was before, or the error is an *UnfinishedError.
func (x *mediaExchange) run(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	x.intent.Kind, x.intent.Stage = IntentMedia, Swapping
	if err := x.Intents.begin(x.intent); err != nil {
		return err
	}
	x.Step("intent written")
	for i := range x.intent.Moves {
		x.Report("swap", x.describe(i))
		if err := x.carry(x.intent.In.Name, i, false); err != nil {
			return x.takeBack(err)
		}
		x.Step("moved " + strconv.Itoa(i))
	}
	return x.settle()
}

func (x *mediaExchange) describe(i int) string {
	m := x.intent.Moves[i]
	path := filepath.Join(x.intent.Live, string(m.Path))
	switch {
	case m.In == nil:
		return media.Quote(path) + " is taken away"
	case m.Out == nil:
		return media.Quote(path) + " appears"
	}
	return media.Quote(path) + " is exchanged"
}

// takeBack undoes the moves that were made. Where somebody has put something else there since, that stays, unless what was
// live would be dropped with what came in.
func (x *mediaExchange) takeBack(reason error) error {
	for i := len(x.intent.Moves) - 1; i >= 0; i-- {
		err := x.carry(x.intent.In.Name, i, true)
		if errors.Is(err, errMoved) {
			held, lookErr := x.holds(i)
			if lookErr == nil && !held {
				continue
			}
			err = errors.Join(err, lookErr)
		}
		if err != nil {
			return &UnfinishedError{Live: x.intent.Live, Media: true, Err: errors.Join(reason, fmt.Errorf("and back: %w", err))}
		}
	}
	return errors.Join(reason, x.Intents.end(x.intent))
}

// holds reports whether what was live is in the directory that is exchanged with, and so nowhere else.
func (x *mediaExchange) holds(i int) (bool, error) {
	m, keeper := x.intent.Moves[i], x.intent.In.Name
	if m.Out == nil {
		return false, nil
	}
	tree, err := idOf(filepath.Join(keeper, treeDir), string(m.Path))
	if err != nil {
		return false, err
	}
	aside, err := idOf(keeper, asideName(i))
	return same(tree, m.Out) || same(aside, m.Out), err
}

// asideName is where the old one of a move waits, where two names cannot be exchanged at once.
func asideName(i int) string { return "aside-" + strconv.Itoa(i) }

// settle gives the directory that now keeps the old files its name.
func (x *mediaExchange) settle() error {
	from, to := x.intent.In.Name, x.intent.In.Aside
	err := os.Rename(from, to)
	if errors.Is(err, os.ErrNotExist) {
		if _, there := os.Lstat(to); there == nil {
			err = nil // a resumed run had done it
		}
	}
	if err == nil {
		err = atomicfile.SyncDir(filepath.Dir(to))
	}
	x.Step("kept")
	if err != nil {
		return &UnfinishedError{Live: x.intent.Live, Media: true, Err: err}
	}
	return x.Intents.end(x.intent)
}

// place is a name in an open directory.
type place struct {
	dir  *os.File
	name string
}

func (p place) fd() int { return int(p.dir.Fd()) }

// is reports which file has the name; nil: none.
func (p place) is() (*FileID, error) {
	var st unix.Stat_t
	err := unix.Fstatat(p.fd(), p.name, &st, unix.AT_SYMLINK_NOFOLLOW)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &FileID{st.Dev, st.Ino}, nil
}

func same(a, b *FileID) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// placeIn opens the directory that a path below root lies in, and never leaves root.
func placeIn(root, path string) (place, error) {
	if path == media.Root {
		dir, err := os.Open(filepath.Dir(root))
		return place{dir, filepath.Base(root)}, err
	}
	r, err := os.OpenRoot(root)
	if err != nil {
		return place{}, err
	}
	defer r.Close()
	parent, name := media.Split(path)
	dir, err := r.Open(parent)
	return place{dir, name}, err
}

// carry makes one move, from wherever a dead run has left it; back makes it the other way round.
func (x *mediaExchange) carry(keeper string, i int, back bool) error {
	m := x.intent.Moves[i]
	in, out := m.In, m.Out
	if back {
		in, out = out, in
	}
	path := string(m.Path)
	live, err := placeIn(x.intent.Live, path)
	if err != nil {
		return err
	}
	defer live.dir.Close()
	tree, err := placeIn(filepath.Join(keeper, treeDir), path)
	if err != nil {
		return err
	}
	defer tree.dir.Close()
	asideDir, err := os.Open(keeper)
	if err != nil {
		return err
	}
	defer asideDir.Close()
	aside := place{asideDir, asideName(i)}
	if err := x.swap(live, tree, aside, in, out); err != nil {
		return fmt.Errorf("exchange %s: %w", media.Quote(filepath.Join(x.intent.Live, path)), err)
	}
	for _, d := range []*os.File{live.dir, tree.dir, asideDir} {
		if err := d.Sync(); err != nil && !errors.Is(err, unix.EINVAL) {
			return err
		}
	}
	return nil
}

// swap brings in to live and out to tree. Where two names cannot be exchanged at once, aside holds out meanwhile.
func (x *mediaExchange) swap(live, tree, aside place, in, out *FileID) error {
	atLive, err := live.is()
	if err != nil {
		return err
	}
	atTree, err := tree.is()
	if err != nil {
		return err
	}
	atAside, err := aside.is()
	if err != nil {
		return err
	}
	switch {
	case same(atLive, in) && (same(atTree, out) || out == nil):
		return nil // done
	case same(atLive, out) && same(atTree, in) && in != nil && out != nil:
		if !x.twoRenames {
			switch err := unix.Renameat2(live.fd(), live.name, tree.fd(), tree.name, unix.RENAME_EXCHANGE); {
			case err == nil:
				return nil
			case !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP):
				return err
			}
		}
		if err := renameFree(live, aside); err != nil {
			return err
		}
		x.Step("aside")
		if err := renameFree(tree, live); err != nil {
			return errors.Join(err, renameFree(aside, live))
		}
		x.Step("in place")
		return renameFree(aside, tree)
	case same(atLive, out) && same(atTree, in) && out == nil:
		return renameFree(tree, live)
	case same(atLive, out) && same(atTree, in):
		return renameFree(live, tree)
	case atLive == nil && out != nil && same(atAside, out) && same(atTree, in):
		if err := renameFree(tree, live); err != nil {
			return err
		}
		return renameFree(aside, tree)
	case same(atLive, in) && out != nil && same(atAside, out) && atTree == nil:
		return renameFree(aside, tree)
	}
	return errMoved
}

// renameFree renames and never replaces anything.
func renameFree(from, to place) error {
	err := unix.Renameat2(from.fd(), from.name, to.fd(), to.name, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if there, err := to.is(); err != nil || there != nil {
		return errors.Join(err, os.ErrExist)
	}
	return unix.Renameat(from.fd(), from.name, to.fd(), to.name)
}

// moves are what is exchanged, with the identities that things have now.
func mediaMoves(live, keeper string, paths []string) (all []Move, err error) {
	for _, path := range paths {
		m := Move{Path: catalog.TreePath(path)}
		if m.In, err = idOf(filepath.Join(keeper, treeDir), path); err != nil {
			return nil, err
		}
		if m.Out, err = idOf(live, path); err != nil {
			return nil, err
		}
		if m.In == nil && m.Out == nil {
			continue
		}
		all = append(all, m)
	}
	return all, nil
}

func idOf(root, path string) (*FileID, error) {
	p, err := placeIn(root, path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer p.dir.Close()
	return p.is()
}
