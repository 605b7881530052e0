package restore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/space"
)

// MediaOptions say which files to restore, and where to.
type MediaOptions struct {
	Catalog    *catalog.Catalog
	Set        catalog.Set
	Provenance provenance.Policy
	Paths      []string // relative to the root of the tree; none: all of it

	Live string // the directory whose place is taken, or that of some paths in it
	To   string // if set, a directory that is made instead; Live is not touched

	Intents Intents
	Host    string // for the intent
	PID     int    // for the intent
	// Confirm hears what Media is going to do, when everything has been checked and nothing has been changed;
	// ConfirmUndo the same of UndoMedia. An error ends it there.
	Confirm     func(context.Context, MediaPlan) error
	ConfirmUndo func(context.Context, MediaUndoPlan) error
	Report      func(step, detail string) // each step of an exchange before it is taken

	Jobs     int // files that are copied at once; 0: as suits the machine
	Progress func(stage string, done, total int64)
	Logger   *slog.Logger
	Now      func() time.Time
	Step     func(name string) // tests interfere there

	twoRenames bool // tests: as on a file system that exchanges nothing
}

// MediaPlan is what a restore of files is going to do, found out without changing anything.
type MediaPlan struct {
	Set       string // its name
	Signature provenance.Finding
	Warnings  []string
	Choice    media.Choice

	Live    string // with links resolved
	Exists  bool   // Live is there
	To      string // of a restore beside
	Run     string // names what is kept
	Aside   string // the directory that keeps what is replaced
	working string

	Files, Dirs, Symlinks int64 // that will be restored
	Others                int64 // sockets, FIFOs and devices, which are not
	Bytes                 int64
	Free                  int64 // on the file system of Live or To; -1: it does not matter
	// Against what is live: by type, size, time, owner, mode, link target and extended attributes; nobody's content is
	// read. Of a restore beside, and where nothing is live, all are nil.
	Added, Changed, Removed []media.Difference

	paths []string // that are exchanged
}

var (
	// ErrNotInSet means that a path was asked for that the set does not have.
	ErrNotInSet = errors.New("not in the set")
	// ErrMediaExists means that what is to be made is there already.
	ErrMediaExists = errors.New("there is something of that name already")
)

// MountError means that a directory cannot take the place of the live one, because something is mounted there.
type MountError struct {
	Live, Point string
	Parts       bool // only paths in it were to be restored
}

func (e *MountError) Error() string {
	if e.Live == e.Point {
		return e.Live + " is a mount point and cannot be renamed"
	}
	return e.Point + " is mounted in what would be replaced"
}

// PlaceError means that nothing can be put into the place that a path is to have.
type PlaceError struct{ Path, Why string }

func (e *PlaceError) Error() string { return e.Path + " " + e.Why }

func (o MediaOptions) withDefaults() MediaOptions {
	d := Options{Progress: o.Progress, Logger: o.Logger, Now: o.Now, Report: o.Report, Step: o.Step}.withDefaults()
	o.Progress, o.Logger, o.Now, o.Report, o.Step = d.Progress, d.Logger, d.Now, d.Report, d.Step
	return o
}

func (o MediaOptions) stored() media.Stored { return media.Stored{Catalog: o.Catalog, Set: o.Set} }

// PlanMedia is what Media finds out before it changes anything.
func PlanMedia(ctx context.Context, o MediaOptions) (MediaPlan, error) {
	o = o.withDefaults()
	p := MediaPlan{Set: o.Set.String(), Free: -1}
	var err error
	if p.Choice, err = media.NewChoice(o.Paths); err != nil {
		return p, err
	}
	if err := o.planPlace(ctx, &p); err != nil {
		return p, err
	}
	if err := o.planSource(ctx, &p); err != nil {
		return p, err
	}
	if err := o.planSpace(&p); err != nil {
		return p, err
	}
	if p.To != "" {
		return p, nil
	}
	if err := o.planMoves(&p); err != nil {
		return p, err
	}
	err = o.planDifferences(ctx, &p)
	return p, err
}

// planPlace looks at where the files are to go.
func (o MediaOptions) planPlace(ctx context.Context, p *MediaPlan) (err error) {
	if o.To != "" {
		if p.To, err = filepath.Abs(o.To); err != nil {
			return err
		}
		if _, err := os.Lstat(p.To); err == nil {
			return fmt.Errorf("%s: %w", p.To, ErrMediaExists)
		}
		p.Run = mediaRun(o.Now(), nil)
		p.working = keptName(p.To, mediaWorking, p.Run)
		return mayWrite(filepath.Dir(p.To))
	}
	if p.Live, p.Exists, err = resolveLive(o.Live); err != nil {
		return err
	}
	if p.Live != filepath.Clean(o.Live) {
		p.Warnings = append(p.Warnings, fmt.Sprintf("%s is reached through a symbolic link, which stays as it is: what is replaced is %s", o.Live, p.Live))
	}
	open, err := o.Intents.OpenMedia(ctx, p.Live)
	if err == nil && open != nil {
		err = &OpenError{Live: p.Live, Since: open.Started, Media: true}
	}
	if err != nil {
		return err
	}
	if !p.Exists && !p.Choice.Whole() {
		return &PlaceError{p.Live, "is not there: restore all of it, or into another directory"}
	}
	if p.Exists {
		if err := notMounted(p.Live, p.Choice); err != nil {
			return err
		}
		if err := mayWrite(p.Live); err != nil {
			return err
		}
	}
	if err := mayWrite(filepath.Dir(p.Live)); err != nil {
		return err
	}
	kept, err := ListKeptMedia(p.Live)
	if err != nil {
		return err
	}
	p.Run = mediaRun(o.Now(), kept)
	p.working, p.Aside = keptName(p.Live, mediaWorking, p.Run), keptName(p.Live, MediaBefore, p.Run)
	return nil
}

// resolveLive is the directory that is live, whatever links lead there.
func resolveLive(path string) (string, bool, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", false, err
	}
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		if fi, err := os.Stat(real); err == nil && !fi.IsDir() {
			return real, true, &PlaceError{real, "is no directory"}
		}
		return real, true, nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return path, false, err
	}
	if _, err := os.Lstat(path); err == nil {
		return path, false, &PlaceError{path, "is a symbolic link to nothing"}
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return path, false, &PlaceError{filepath.Dir(path), "is not there: is it mounted?"}
	}
	return filepath.Join(parent, filepath.Base(path)), false, nil
}

// mayWrite asks before anything is copied what would fail at the end.
func mayWrite(dir string) error {
	err := unix.Access(dir, unix.W_OK|unix.X_OK)
	switch {
	case errors.Is(err, unix.ENOENT):
		return &PlaceError{dir, "is not there: is it mounted?"}
	case err != nil:
		return &PlaceError{dir, "cannot be written to: " + err.Error()}
	}
	return nil
}

// notMounted: neither a mount point nor a directory with one in it can be exchanged for another.
func notMounted(live string, c media.Choice) error {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		point := unescape.Replace(fields[4])
		if point == live {
			return &MountError{Live: live, Point: point, Parts: !c.Whole()}
		}
		if below, ok := strings.CutPrefix(point, live+"/"); ok && (c.Has(below) || slices.ContainsFunc(c.Paths(), func(q string) bool { return media.Below(below, q) })) {
			return &MountError{Live: live, Point: point, Parts: !c.Whole()}
		}
	}
	return nil
}

// planSource proves what can be proven of the set without copying, and counts what will be restored.
func (o MediaOptions) planSource(ctx context.Context, p *MediaPlan) error {
	if o.Set.Problem != nil {
		return o.Set.Problem
	}
	facts := facts{}
	err := setSource{Options{Catalog: o.Catalog, Set: o.Set, Provenance: o.Provenance}}.provenance(ctx, &facts)
	if err != nil {
		return err
	}
	p.Signature, p.Warnings = facts.signature, append(p.Warnings, facts.warnings...)
	damaged, err := dumpset.Reader{Catalog: o.Catalog, Set: o.Set}.Hash(ctx)
	if err := errors.Join(append(damaged, err)...); err != nil {
		return err
	}
	known, _ := o.Set.Damaged()
	for _, path := range known {
		if p.Choice.Has(path) {
			return o.stored().Damage(media.Difference{Path: path, Kind: media.Changed, Why: "a verify found it damaged; restore other paths, or from another set"})
		}
	}
	there := map[string]bool{}
	chosen := p.Choice.Paths()
	err = media.ReadIndex(o.stored().Index(ctx), func(e media.Entry) error {
		if !p.Choice.Has(e.Path) {
			return ctx.Err()
		}
		if slices.Contains(chosen, e.Path) && e.Type.Copied() {
			there[e.Path] = true
		}
		switch e.Type {
		case media.File:
			p.Files, p.Bytes = p.Files+1, p.Bytes+e.Size
		case media.Dir:
			p.Dirs++
		case media.Symlink:
			p.Symlinks++
		default:
			p.Others++
		}
		return ctx.Err()
	})
	if err != nil {
		return o.stored().Classify(err)
	}
	for _, c := range chosen {
		if !there[c] {
			return fmt.Errorf("%s: %s: %w", o.Set.Ref, media.Quote(c), ErrNotInSet)
		}
	}
	return nil
}

// planSpace: everything is copied, unless the file system can clone what lies in the repository.
func (o MediaOptions) planSpace(p *MediaPlan) error {
	dir := filepath.Dir(p.working)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil //nolint:nilerr // where nobody knows how much is free, the copy finds out
	}
	free, err := space.Free(dir)
	if err != nil {
		return nil //nolint:nilerr // as above
	}
	p.Free = free
	var here, there unix.Stat_t
	if tree, err := o.stored().Tree(); err == nil && unix.Stat(dir, &here) == nil && unix.Stat(tree, &there) == nil && here.Dev == there.Dev &&
		(fs.Type == unix.BTRFS_SUPER_MAGIC || fs.Type == unix.XFS_SUPER_MAGIC) {
		p.Free = -1
		return nil
	}
	if p.Free < p.Bytes {
		return &SpaceError{Dir: dir, Need: p.Bytes, Free: p.Free, Media: true}
	}
	return nil
}

// planMoves finds what is exchanged for each chosen path: itself, or the outermost directory on the way there that is
// not there now.
func (o MediaOptions) planMoves(p *MediaPlan) error {
	if p.Choice.Whole() {
		p.paths = []string{media.Root}
		return nil
	}
	for _, path := range p.Choice.Paths() {
		move := path
		for at := 0; at < len(path); at++ {
			if path[at] != '/' {
				continue
			}
			above := filepath.Join(p.Live, path[:at])
			fi, err := os.Lstat(above)
			if errors.Is(err, os.ErrNotExist) {
				move = path[:at]
				break
			}
			if err != nil {
				return err
			}
			if !fi.IsDir() {
				return &PlaceError{above, "is no directory now"}
			}
		}
		if !slices.Contains(p.paths, move) {
			p.paths = append(p.paths, move)
		}
	}
	return nil
}

// planDifferences compares the set with what is live.
func (o MediaOptions) planDifferences(ctx context.Context, p *MediaPlan) error {
	p.Added, p.Changed, p.Removed = []media.Difference{}, []media.Difference{}, []media.Difference{}
	if !p.Exists {
		return media.ReadIndex(o.stored().Index(ctx), func(e media.Entry) error {
			if e.Type.Copied() {
				p.Added = append(p.Added, media.Difference{Path: e.Path, Kind: media.Missing, Bytes: e.Size})
			}
			return ctx.Err()
		})
	}
	o.Progress("plan", 0, 0)
	_, err := media.Comparison{
		Dir: p.Live, Index: o.stored().Index(ctx), Choice: p.Choice, Live: true, Owners: os.Geteuid() == 0, Privileged: os.Geteuid() == 0, Jobs: o.Jobs,
		Found: func(d media.Difference) {
			switch d.Kind {
			case media.Missing:
				p.Added = append(p.Added, d)
			case media.Extra:
				p.Removed = append(p.Removed, d)
			default:
				p.Changed = append(p.Changed, d)
			}
		},
	}.Run(ctx)
	for _, list := range [][]media.Difference{p.Added, p.Changed, p.Removed} {
		slices.SortFunc(list, func(a, b media.Difference) int { return media.Compare(a.Path, b.Path) })
	}
	return o.stored().Classify(err)
}

// LiveMedia is the directory that a configured path leads to, by which intents know it.
func LiveMedia(path string) (string, error) {
	live, _, err := resolveLive(path)
	return live, err
}
