package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// ErrNoTree means that the repository cannot hold a tree of files.
var ErrNoTree = errors.New("media need a repository in the file system")

// latestName is the symbolic link beside the sets that leads to the newest one.
const latestName = "latest"

// MediaOptions say which tree to back up, where to, and how.
type MediaOptions struct {
	Source  string // the directory
	Catalog *catalog.Catalog
	Signer  catalog.Signer // nil: the set is not signed

	Exclude  media.Patterns
	Checksum bool // read every file, and compare contents
	Copy     bool // also where there are no hard links: every set then holds every file
	Jobs     int  // at once; 0: as many as cores
	Level    seal.Level
	Release  Release // facts about the application, for the manifest
	Shrink   int     // a set that lost more than so many percent is suspect; 0: none is

	// Damaged is what verifies found damaged in the tree of a set that has failed; all says that there is more than that.
	// nil: what its checks say.
	Damaged func(catalog.Set) (paths []string, all bool)
	// Free returns the free bytes of the repository, an error when nobody knows; nil: not asked.
	Free     func(context.Context) (int64, error)
	Progress Progress
	Logger   *slog.Logger
	// Step, if set, is called at named points, for tests that interfere there; from several goroutines.
	Step func(name string)
}

// MediaResult is a published set, and how much of it is new.
type MediaResult struct {
	Result
	Report   media.Report
	Previous catalog.Ref // the set whose files it shares; zero: none
}

// mediaRun is one attempt.
type mediaRun struct {
	MediaOptions
	group    catalog.Group
	draft    *catalog.Draft
	earlier  []catalog.Set
	previous catalog.Set // zero: none
	index    artifact.Written
	recovery artifact.Written // RECOVER.md
	report   media.Report
	manifest catalog.Manifest
	warnings []string
	stages   []catalog.Stage
}

// Media backs up a tree of files. Errors that callers tell apart: *SpaceError, ErrNoTree, media.ErrNoLinks,
// media.ErrGone.
//
// The set is on stable storage before it can be seen: the tree by one syncfs, everything else file by file. The index
// is read back. Files of the tree are hashed while they are read from the source, and are not read back: that is what
// verify does.
func Media(ctx context.Context, o MediaOptions) (MediaResult, error) {
	r := &mediaRun{MediaOptions: o.withDefaults(), group: catalog.Group{Kind: catalog.KindMedia}}
	removed, err := r.Catalog.Sweep(ctx, r.group)
	if err != nil {
		return MediaResult{}, fmt.Errorf("clean up after earlier runs: %w", err)
	}
	result := MediaResult{Result: Result{Removed: removed}}
	if r.earlier, err = r.Catalog.List(ctx, r.group); err != nil {
		return result, fmt.Errorf("list earlier sets: %w", err)
	}
	if err := r.choosePrevious(ctx); err != nil {
		return result, err
	}
	if err := r.preflight(ctx); err != nil {
		return result, err
	}
	if r.draft, err = r.Catalog.Begin(ctx, r.group); err != nil {
		return result, fmt.Errorf("start set: %w", err)
	}
	r.draft.SignWith(r.Signer)
	r.warnings = append(r.warnings, r.draft.Warnings...)
	set, err := r.write(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what broke then, broke because of it
		}
		return result, errors.Join(err, r.draft.Discard(context.WithoutCancel(ctx)))
	}
	r.pointLatest(set)
	result.Set, result.Warnings, result.Stages = set, r.warnings, r.stages
	result.Report, result.Previous = r.report, r.previous.Ref
	return result, nil
}

// MediaTrial says what Media would do, and writes nothing: of the result there are the report, without hashes and hard
// links within the tree, and the previous set.
func MediaTrial(ctx context.Context, o MediaOptions) (MediaResult, error) {
	r := &mediaRun{MediaOptions: o.withDefaults(), group: catalog.Group{Kind: catalog.KindMedia}}
	var err error
	if r.earlier, err = r.Catalog.List(ctx, r.group); err != nil {
		return MediaResult{}, fmt.Errorf("list earlier sets: %w", err)
	}
	if err := r.choosePrevious(ctx); err != nil {
		return MediaResult{}, err
	}
	trial := media.SnapshotOptions{Source: r.Source, Exclude: r.Exclude, Jobs: r.Jobs, Logger: r.Logger}
	if r.previous.Manifest != nil {
		previous, done, err := r.openPrevious(ctx)
		if err != nil {
			return MediaResult{}, err
		}
		defer done()
		trial.Previous = previous
	}
	report, err := media.Snapshot(ctx, trial)
	return MediaResult{Result: Result{Warnings: r.warnings}, Report: report, Previous: r.previous.Ref}, err
}

func (o MediaOptions) withDefaults() MediaOptions {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Damaged == nil {
		o.Damaged = catalog.Set.Damaged
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return o
}

// choosePrevious finds the newest set whose tree can be relied on, file by file: it is whole, and its index is what the
// manifest says. A suspect one will do: what it has is right. So will one that has failed a verify, but for the files
// that the verify named.
func (r *mediaRun) choosePrevious(ctx context.Context) error {
	for _, s := range slices.Backward(r.earlier) {
		if s.Problem != nil || s.Manifest == nil {
			continue
		}
		if s.Failed() != nil {
			if paths, all := r.Damaged(s); all || len(paths) == 0 {
				continue
			}
		}
		a, ok := indexOf(s.Manifest)
		if !ok {
			continue
		}
		err := artifact.Hash(ctx, r.Catalog, s.Ref, a, nil)
		switch {
		case err == nil:
			r.previous = s
			return nil
		case errors.Is(err, catalog.ErrDamaged):
			r.warnings = append(r.warnings, fmt.Sprintf("nothing is linked to %s: %v", s.Ref, err))
		default:
			return err
		}
	}
	return nil
}

// indexOf is the artifact that lists what the tree holds.
func indexOf(m *catalog.Manifest) (catalog.Artifact, bool) {
	i := slices.IndexFunc(m.Artifacts, func(a catalog.Artifact) bool { return a.Name == media.IndexName+seal.Suffix(false) })
	if i < 0 {
		return catalog.Artifact{}, false
	}
	return m.Artifacts[i], true
}

// preflight compares the free space with what the set will need. Of the first one that is the whole tree, which is
// measured. How much of a later one is new nobody knows before; it needs its directories and its index.
func (r *mediaRun) preflight(ctx context.Context) error {
	if r.Free == nil {
		return nil
	}
	var need int64
	if p := r.previous.Manifest; p != nil && p.Contents != nil && !r.Copy {
		const page = 4 << 10
		a, _ := indexOf(p)
		need = a.Bytes + p.Contents.Directories*page
	} else {
		report, err := media.Snapshot(ctx, media.SnapshotOptions{Source: r.Source, Exclude: r.Exclude, Jobs: r.Jobs})
		if err != nil {
			return err
		}
		need = report.Bytes
	}
	free, err := r.Free(ctx)
	if err != nil {
		r.Logger.Info("free space of the repository is unknown", "error", err)
		return nil
	}
	if free < need {
		return &SpaceError{Need: need, Free: free}
	}
	return nil
}

func (r *mediaRun) write(ctx context.Context) (catalog.Set, error) {
	if err := r.writeRecover(ctx); err != nil {
		return catalog.Set{}, err
	}
	r.Step("begun")
	if err := r.stage("copy", func() error { return r.snapshot(ctx) }); err != nil {
		return catalog.Set{}, err
	}
	r.Step("indexed")
	if err := r.stage("read back", func() error { return r.readBack(ctx) }); err != nil {
		return catalog.Set{}, err
	}
	r.Step("read back")
	r.describe()
	if err := judge(ctx, r.draft, r.Shrink, r.earlier, &r.manifest, contentMeasures); err != nil {
		return catalog.Set{}, err
	}
	set, err := r.draft.Publish(ctx, r.manifest)
	if err != nil {
		return catalog.Set{}, fmt.Errorf("publish set: %w", err)
	}
	r.Step("published")
	return set, nil
}

// snapshot writes tree and index, in one stream.
func (r *mediaRun) snapshot(ctx context.Context) (err error) {
	dir, ok := r.draft.Path()
	if !ok {
		return ErrNoTree
	}
	o := media.SnapshotOptions{
		Source: r.Source, Target: filepath.Join(dir, media.TreeName),
		Exclude: r.Exclude, Checksum: r.Checksum, Copy: r.Copy, Jobs: r.Jobs, Logger: r.Logger,
		Step: func(name, _ string) { r.Step(name) },
	}
	var total int64
	if m := r.previous.Manifest; m != nil {
		if m.Contents != nil {
			total = m.Contents.Bytes
		}
		previous, done, err := r.openPrevious(ctx)
		if err != nil {
			return err
		}
		defer done()
		o.Previous = previous
	}
	o.Progress = func(done media.Totals) { r.Progress("copy", done.Bytes, total) }
	r.index, err = artifact.Write(ctx, r.draft, seal.Options{Jobs: r.Jobs, Level: r.Level}, media.IndexName, func(w io.Writer) error {
		index := media.NewIndexWriter(w)
		o.Write = index.Write
		if r.report, err = media.Snapshot(ctx, o); err != nil {
			return err
		}
		return index.Close()
	})
	return err
}

func (r *mediaRun) openPrevious(ctx context.Context) (*media.Previous, func(), error) {
	location, _ := r.Catalog.Location(r.previous.Ref)
	a, _ := indexOf(r.previous.Manifest)
	index, err := artifact.Open(ctx, r.Catalog, r.previous.Ref, a, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	p := &media.Previous{Tree: filepath.Join(location, media.TreeName), Index: index}
	if r.previous.Failed() != nil {
		paths, _ := r.Damaged(r.previous)
		damaged := map[string]bool{}
		for _, path := range paths {
			damaged[path] = true
		}
		p.Damaged = func(path string) bool { return damaged[path] }
	}
	return p, func() { _ = index.Close() }, nil
}

// readBack proves the index, which the tree is worth little without.
func (r *mediaRun) readBack(ctx context.Context) error {
	err := r.index.ReadBack(ctx, r.draft, catalog.ReadbackDecode, nil, nil)
	if err != nil {
		return err
	}
	return r.recovery.ReadBack(ctx, r.draft, catalog.ReadbackHash, nil, nil)
}

func (r *mediaRun) stage(name string, f func() error) error {
	start := time.Now()
	err := f()
	r.stages = append(r.stages, catalog.Stage{Name: name, Seconds: time.Since(start).Seconds()})
	return err
}

// describe fills in what the manifest says of the run.
func (r *mediaRun) describe() {
	t := r.report.Totals
	r.warn()
	r.manifest = catalog.Manifest{
		Source:     &catalog.Source{ReleaseDir: r.Release.Dir, GitRevision: r.Release.Revision},
		Artifacts:  []catalog.Artifact{r.index.Artifact, {Name: media.TreeName, Bytes: t.Bytes}},
		Contents:   &catalog.Contents{Files: t.Files, Directories: t.Dirs, Links: t.Symlinks, Bytes: t.Bytes},
		Incomplete: some(r.report.Unreadable),
		Warnings:   r.warnings,
		Readback:   catalog.ReadbackDecode,
	}
}

func (r *mediaRun) warn() {
	for _, path := range some(r.report.Unstable) {
		r.warnings = append(r.warnings, "changed again and again while it was copied: "+path)
	}
	for _, path := range some(r.report.Distrusted) {
		r.warnings = append(r.warnings, fmt.Sprintf("in %s, and copied anew: %s", r.previous.Ref, path))
	}
}

// some are paths for a manifest, and how many more there are.
func some(p media.Paths) []string {
	texts := slices.Clone(p.First)
	if more := p.Count - int64(len(texts)); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return texts
}

// pointLatest swaps the link beside the sets. The set is there without it.
func (r *mediaRun) pointLatest(set catalog.Set) {
	path, local := r.Catalog.Location(set.Ref)
	if !local {
		return
	}
	if err := atomicfile.Symlink(string(set.ID), filepath.Join(filepath.Dir(path), latestName)); err != nil {
		r.warnings = append(r.warnings, err.Error())
	}
	r.Step("latest")
}
