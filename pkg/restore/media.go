package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/media"
)

// MediaResult is files that are there, hashed and compared.
type MediaResult struct {
	MediaPlan
	Built  media.Built
	Stages []catalog.Stage
	Kept   string // the directory that keeps what was replaced; "" when there was nothing
}

func (r *MediaResult) stage(o MediaOptions, name string, do func() error) error {
	start := time.Now()
	err := do()
	r.Stages = append(r.Stages, catalog.Stage{Name: name, Seconds: time.Since(start).Seconds()})
	if err == nil {
		o.Step(name)
	}
	return err
}

// maxDamage is how many damaged paths an error names.
const maxDamage = 20

// Media restores files: built in a directory beside the live one, every file hashed while it is copied, compared with
// the index, and only then exchanged with what is live, which is kept. Units are not stopped. What was found before
// anything was changed is handed to o.Confirm. With o.To nothing is exchanged: the files get a directory of their own.
//
// After an error what was live is live, except that an *UnfinishedError leaves an intent, which ResumeMedia ends.
func Media(ctx context.Context, o MediaOptions) (MediaResult, error) {
	o = o.withDefaults()
	plan, err := PlanMedia(ctx, o)
	r := MediaResult{MediaPlan: plan}
	if err == nil && o.Confirm != nil {
		err = o.Confirm(ctx, plan)
	}
	if err != nil {
		return r, err
	}
	origin := MediaOrigin{Of: plan.Live, Set: plan.Set}
	for _, p := range plan.paths {
		origin.Paths = append(origin.Paths, catalog.TreePath(p))
	}
	if plan.To != "" {
		origin.Of = plan.To
	}
	if err := makeKept(plan.working, origin); err != nil {
		return r, err
	}
	o.Step("begun")
	if err := o.buildMedia(ctx, &r); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what broke then, broke because of it
		}
		return r, errors.Join(err, dropDir(plan.working))
	}
	if plan.To != "" {
		err = o.intoPlace(&r)
	} else {
		err = o.mediaIntoService(ctx, &r)
	}
	return r, err
}

// buildMedia builds and compares.
func (o MediaOptions) buildMedia(ctx context.Context, r *MediaResult) error {
	from, err := o.stored().Tree()
	if err != nil {
		return err
	}
	to := filepath.Join(r.working, treeDir)
	var mu sync.Mutex
	var done int64
	damage := &damageList{stored: o.stored()}
	err = r.stage(o, "copy", func() error {
		r.Built, err = media.Building{
			From: from, Index: o.stored().Index(ctx), Choice: r.Choice, To: to, Jobs: o.Jobs, Found: damage.add,
			Progress: func(n int64) {
				mu.Lock()
				defer mu.Unlock()
				done += n
				o.Progress("copy", done, r.Bytes)
			},
		}.Run(ctx)
		return errors.Join(o.stored().Classify(err), damage.err())
	})
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: the live files are as they were", err)
	}
	if err != nil {
		return err
	}
	return r.stage(o, "compare", func() error {
		o.Progress("compare files", 0, 0)
		wrong := &damageList{stored: o.stored()}
		var first string
		_, err := media.Comparison{
			Dir: to, Index: o.stored().Index(ctx), Choice: r.Choice, Jobs: o.Jobs, Owners: r.Built.Unowned.Count == 0, Privileged: true,
			Tolerate: func(e *media.Entry, mode uint32) bool { return r.Built.Unowned.Count > 0 && mode == e.Mode&^0o6000 },
			Unmarked: func(*media.Entry, string) bool { return r.Built.Unmarked.Count > 0 },
			Found: func(d media.Difference) {
				wrong.add(d)
				if first == "" {
					first = d.String()
				}
			},
		}.Run(ctx)
		if err == nil && wrong.all > 0 {
			err = fmt.Errorf("%d of the restored paths are not what the index says, the first is %s: %w", wrong.all, first, ErrMediaDiffers)
		}
		return o.stored().Classify(err)
	})
}

// ErrMediaDiffers means that what was written is not what should have been written.
var ErrMediaDiffers = errors.New("the restored files differ")

// damageList is the first damaged paths, and how many there are.
type damageList struct {
	stored media.Stored
	first  []error
	all    int
}

func (l *damageList) add(d media.Difference) {
	if l.all++; len(l.first) < maxDamage {
		l.first = append(l.first, l.stored.Damage(d))
	}
}

func (l *damageList) err() error {
	if more := l.all - len(l.first); more > 0 {
		l.first = append(l.first, &catalog.DamageError{Ref: l.stored.Set.Ref, Artifact: media.TreeName, Kind: catalog.DamageMalformed,
			Err: fmt.Errorf("%d more of its paths are damaged", more)})
	}
	return errors.Join(l.first...)
}

// intoPlace gives files that are restored beside their own directory.
func (o MediaOptions) intoPlace(r *MediaResult) error {
	parent, err := os.OpenRoot(filepath.Dir(r.To))
	if err == nil {
		defer parent.Close()
		err = atomicfile.RenameNew(parent, filepath.Join(filepath.Base(r.working), treeDir), filepath.Base(r.To))
	}
	o.Step("in place")
	return errors.Join(err, dropDir(r.working))
}

// mediaIntoService exchanges what was built with what is live.
func (o MediaOptions) mediaIntoService(ctx context.Context, r *MediaResult) error {
	moves, err := mediaMoves(r.Live, r.working, r.paths)
	if err != nil {
		return errors.Join(err, dropDir(r.working))
	}
	x := &mediaExchange{MediaOptions: o, intent: Intent{
		Action: actionRestore, Run: r.Run, Live: r.Live, Set: r.Set, Started: o.Now().UTC(), Host: o.Host, PID: o.PID,
		In: Moved{Name: r.working, Aside: r.Aside}, Moves: moves,
	}}
	if err := x.run(ctx); err != nil {
		if !errors.As(err, new(*UnfinishedError)) {
			err = errors.Join(err, dropDir(r.working))
		}
		return err
	}
	// Also where nothing was replaced: an undo takes away again what appeared.
	r.Kept = r.Aside
	return nil
}

// ResumeMedia ends an exchange of files whose process died. Inodes say what has changed places: when nothing has yet,
// what was live stays live and the restored files are removed, of an undo nothing is removed; otherwise the exchange
// is ended.
func ResumeMedia(ctx context.Context, o MediaOptions, in Intent) (Resumed, error) {
	o = o.withDefaults()
	r := Resumed{Intent: in}
	x := &mediaExchange{MediaOptions: o, intent: in}
	if _, err := os.Lstat(in.In.Name); errors.Is(err, os.ErrNotExist) {
		// All that was left to do was to end the intent.
		r.Outcome, r.Live = Finished, liveAfter(in.Action, true)
		return r, x.settle()
	}
	begun := false
	for _, m := range in.Moves {
		at, err := idOf(in.Live, string(m.Path))
		if err != nil {
			return r, err
		}
		begun = begun || !same(at, m.Out)
	}
	if !begun {
		r.Outcome, r.Live = TakenBack, liveAfter(in.Action, false)
		if err := o.Intents.end(in); err != nil || in.Action == actionUndo {
			return r, err
		}
		return r, dropDir(in.In.Name)
	}
	r.Outcome, r.Live = Finished, liveAfter(in.Action, true)
	for i, m := range in.Moves {
		err := x.carry(in.In.Name, i, false)
		if errors.Is(err, errMoved) {
			if at, lookErr := idOf(in.Live, string(m.Path)); lookErr == nil && at != nil {
				r.Live = "other" // somebody has decided since
				continue
			}
		}
		if err != nil {
			return r, &UnfinishedError{Live: in.Live, Media: true, Err: err}
		}
	}
	return r, x.settle()
}

// ErrNoFilesKept means that no earlier files were kept.
var ErrNoFilesKept = errors.New("no restore has kept earlier files to go back to")

// MediaUndoPlan is what an undo of files would do.
type MediaUndoPlan struct {
	Live  string
	Back  KeptMedia // comes back
	Aside string    // keeps what is live now
	Run   string
	Moves []Move
}

// PlanUndoMedia looks for what was live before the last exchange, without changing anything.
func PlanUndoMedia(ctx context.Context, o MediaOptions) (MediaUndoPlan, error) {
	o = o.withDefaults()
	var p MediaUndoPlan
	var err error
	if p.Live, _, err = resolveLive(o.Live); err != nil {
		return p, err
	}
	open, err := o.Intents.OpenMedia(ctx, p.Live)
	if err == nil && open != nil {
		err = &OpenError{Live: p.Live, Since: open.Started, Media: true}
	}
	if err != nil {
		return p, err
	}
	kept, err := ListKeptMedia(p.Live)
	if err != nil {
		return p, err
	}
	for _, k := range kept {
		if k.Usable() {
			p.Back = k // the newest is the last
		}
	}
	if p.Back.Path == "" {
		return p, fmt.Errorf("undo the restore of %s: %w", p.Live, ErrNoFilesKept)
	}
	var paths []string
	for _, path := range p.Back.Origin.Paths {
		paths = append(paths, string(path))
	}
	choice, err := media.NewChoice(paths)
	if err == nil {
		err = notMounted(p.Live, choice)
	}
	if err != nil {
		return p, err
	}
	p.Run = mediaRun(o.Now(), kept)
	p.Aside = keptName(p.Live, MediaUndone, p.Run)
	p.Moves, err = mediaMoves(p.Live, p.Back.Path, paths)
	if err == nil && len(p.Moves) == 0 {
		err = fmt.Errorf("undo the restore of %s: %w", p.Live, ErrNoFilesKept)
	}
	return p, err
}

// UndoMedia puts what was live before the last exchange back into its place. What is live now is kept.
func UndoMedia(ctx context.Context, o MediaOptions) (MediaUndoPlan, error) {
	o = o.withDefaults()
	p, err := PlanUndoMedia(ctx, o)
	if err == nil && o.ConfirmUndo != nil {
		err = o.ConfirmUndo(ctx, p)
	}
	if err != nil {
		return p, err
	}
	x := &mediaExchange{MediaOptions: o, intent: Intent{
		Action: actionUndo, Run: p.Run, Live: p.Live, Set: p.Back.Origin.Set, Started: o.Now().UTC(), Host: o.Host, PID: o.PID,
		In: Moved{Name: p.Back.Path, Aside: p.Aside}, Moves: p.Moves,
	}}
	return p, x.run(ctx)
}
