package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/atomicfile"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/guard"
	"github.com/bmad-forge/forgectl/pkg/media"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// ErrNoTree means that the repository cannot hold a tree of files.
var ErrNoTree = errors.New("media need a repository in the file system")

// latestName is the symbolic link beside the sets that leads to the newest one.
const latestName = "latest"

// MediaOptions say which tree to back up, where to, and how.
type MediaOptions struct {
	SetOptions
	Source string // the directory

	Exclude  media.Patterns
	Checksum bool // read every file, and compare contents
	Copy     bool // also where there are no hard links: every set then holds every file
	Jobs     int  // at once; 0: as many as cores
	Level    seal.Level

	// Damaged is what verifies found damaged in the tree of a set that has failed; all says that there is more than that.
	// nil: what its checks say.
	Damaged func(catalog.Set) (paths []string, all bool)
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
	setRun
	previous catalog.Set // zero: none
	index    artifact.Written
	report   media.Report
	synced   chan error // has one, when the tree is on stable storage; nil: nobody waits for that
}

func newMediaRun(o MediaOptions) *mediaRun {
	o = o.withDefaults()
	return &mediaRun{MediaOptions: o, setRun: setRun{to: o.SetOptions, group: catalog.Group{Kind: catalog.KindMedia}}}
}

// Media backs up a tree of files. Errors that callers tell apart: *SpaceError, ErrNoTree, media.ErrNoLinks,
// media.ErrGone.
//
// The set is on stable storage before it can be seen: the tree by one syncfs, everything else file by file. The index
// is read back. Files of the tree are hashed while they are read from the source, and are not read back: that is what
// verify does.
func Media(ctx context.Context, o MediaOptions) (MediaResult, error) {
	r := newMediaRun(o)
	removed, err := r.sweep(ctx, r.group)
	if err != nil {
		return MediaResult{}, err
	}
	written, err := r.write(ctx, r)
	written.Removed = removed
	if err != nil {
		return MediaResult{Result: written}, err
	}
	r.pointLatest(written.Set)
	written.Warnings = r.warnings
	return MediaResult{Result: written, Report: r.report, Previous: r.previous.Ref}, nil
}

// MediaTrial says what Media would do, and writes nothing: of the result there are the report, without hashes and hard
// links within the tree, and the previous set.
func MediaTrial(ctx context.Context, o MediaOptions) (MediaResult, error) {
	r := newMediaRun(o)
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
	if o.Damaged == nil {
		o.Damaged = catalog.Set.Damaged
	}
	o.SetOptions = o.SetOptions.withDefaults()
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

// prepare finds the set to share files with, and compares the free space with what the set will need. Of the first one
// that is the whole tree, which is measured. How much of a later one is new nobody knows before; it needs its directories
// and its index.
func (r *mediaRun) prepare(ctx context.Context) error {
	if err := r.choosePrevious(ctx); err != nil {
		return err
	}
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
	return r.hasRoom(ctx, need)
}

func (r *mediaRun) measure(m *catalog.Manifest) guard.Measures { return contentMeasures(m) }

func (r *mediaRun) stage() string { return "copy" }

// fill writes tree and index, in one stream.
func (r *mediaRun) fill(ctx context.Context) (err error) {
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
		var wait func() error
		if r.report, wait, err = media.SnapshotUnsynced(ctx, o); err != nil {
			return err
		}
		r.synced = make(chan error, 1)
		go func() { r.synced <- wait() }()
		return index.Close()
	})
	if err != nil && r.synced != nil {
		err = errors.Join(err, <-r.synced) // nobody writes to a draft that is removed
	}
	r.Step("indexed")
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

// readBack proves the index, which the tree is worth little without, while the disk is busy with the tree.
func (r *mediaRun) readBack(ctx context.Context) error {
	err := r.index.ReadBack(ctx, r.draft, catalog.ReadbackDecode, nil, nil)
	return errors.Join(err, <-r.synced)
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
	if r.previous.Manifest != nil && !r.Copy {
		r.manifest.Coverage = catalog.HashedBy(r.earlier).Coverage()
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
