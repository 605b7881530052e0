package restore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
)

// The directories that restores leave beside the live one are named as databases are: NAME_before_RUN. Each holds
// origin.json, which says what it is, and below tree/ files at the places that they had.
const (
	MediaBefore  = "before"  // was live until a restore
	MediaUndone  = "undone"  // was live until an undo
	mediaWorking = "restore" // being built, or left by a restore that died
	mediaDropped = "dropped" // being removed

	originName = "origin.json"
	treeDir    = "tree"
)

// KeptMedia is a directory that a restore left beside the live one.
type KeptMedia struct {
	Path   string
	Role   string // MediaBefore, MediaUndone, "restore" or "dropped"
	Run    string
	Origin MediaOrigin
}

// Usable reports whether an undo can bring it back.
func (k KeptMedia) Usable() bool { return k.Role == MediaBefore || k.Role == MediaUndone }

// MediaOrigin is what a directory that a restore left says of itself.
type MediaOrigin struct {
	Schema int                `json:"schema"`
	Of     string             `json:"of"`  // the live directory
	Set    string             `json:"set"` // of the restore
	Paths  []catalog.TreePath `json:"paths"`
}

func keptName(live, role, run string) string { return live + "_" + role + "_" + run }

// mediaRun names an exchange by its start, and later than every one before it: undo looks for the newest.
func mediaRun(now time.Time, kept []KeptMedia) string {
	run := cutover.Run(now)
	for _, k := range kept {
		if at, err := cutover.ParseRun(k.Run); err == nil && k.Run >= run {
			run = cutover.Run(at.Add(time.Second))
		}
	}
	return run
}

// ListKeptMedia lists what restores left beside a live directory, oldest first. What only looks like it is not listed.
func ListKeptMedia(live string) ([]KeptMedia, error) {
	live, _, err := resolveLive(live)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(filepath.Dir(live))
	if err != nil {
		return nil, fmt.Errorf("look for what restores left: %w", err)
	}
	var kept []KeptMedia
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), filepath.Base(live)+"_")
		role, run, _ := strings.Cut(rest, "_")
		if _, err := cutover.ParseRun(run); err != nil || !ours || !e.IsDir() || !slices.Contains([]string{MediaBefore, MediaUndone, mediaWorking, mediaDropped}, role) {
			continue
		}
		k := KeptMedia{Path: filepath.Join(filepath.Dir(live), e.Name()), Role: role, Run: run}
		if k.Origin, err = readOrigin(k.Path); err == nil && k.Origin.Of == live {
			kept = append(kept, k)
		}
	}
	slices.SortFunc(kept, func(a, b KeptMedia) int { return strings.Compare(a.Run, b.Run) })
	return kept, nil
}

func readOrigin(dir string) (origin MediaOrigin, err error) {
	root, err := openKept(dir)
	if err != nil {
		return origin, err
	}
	defer root.Close()
	fi, err := root.Lstat(originName)
	if err == nil && !fi.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		return origin, err
	}
	data, err := root.ReadFile(originName)
	if err == nil {
		err = json.Unmarshal(data, &origin)
	}
	return origin, err
}

// makeKept makes the directory that a restore works in. It is nobody else's: what it will keep may be secret.
func makeKept(path string, origin MediaOrigin) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return err
	}
	origin.Schema = 1
	data, err := json.MarshalIndent(origin, "", "  ")
	if err == nil {
		err = atomicfile.Write(filepath.Join(path, originName), 0o600, append(data, '\n'))
	}
	if err == nil {
		err = atomicfile.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(path))
	}
	return nil
}

// Size is how many bytes its files have.
func (k KeptMedia) Size() (bytes int64) {
	_ = filepath.WalkDir(k.Path, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if fi, err := d.Info(); err == nil {
				bytes += fi.Size()
			}
		}
		return nil
	})
	return bytes
}

// DropMedia removes such a directory for good. One that is half removed is never taken for one to go back to.
func DropMedia(k KeptMedia) error {
	origin, err := readOrigin(k.Path)
	if err == nil && origin.Of != k.Origin.Of {
		err = errors.New("it is another one now")
	}
	if err != nil {
		return fmt.Errorf("drop %s: %w", k.Path, err)
	}
	path := k.Path
	if k.Role != mediaDropped {
		path = keptName(origin.Of, mediaDropped, k.Run)
		if err := os.Rename(k.Path, path); err != nil {
			return fmt.Errorf("drop %s: %w", k.Path, err)
		}
	}
	return dropDir(path)
}

// openKept opens a directory that a restore has made, by what it is and not by what has its name: whoever may write to the
// directory that it lies in can exchange it for a link.
func openKept(path string) (*os.Root, error) {
	dir, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return os.OpenRoot(fmt.Sprintf("/proc/self/fd/%d", dir.Fd()))
}

// dropDir removes the files first, and last what says whose they are.
func dropDir(path string) error {
	root, err := openKept(path)
	if err != nil {
		return err
	}
	defer root.Close()
	names, err := namesIn(root)
	if err != nil {
		return err
	}
	for _, name := range append(names, originName) {
		if err := atomicfile.RemoveAllIn(root, name); err != nil {
			return fmt.Errorf("drop %s: %w", path, err)
		}
	}
	return os.Remove(path)
}

// namesIn are those of a directory, but for what says whose it is.
func namesIn(root *os.Root) ([]string, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return slices.DeleteFunc(names, func(name string) bool { return name == originName }), err
}
