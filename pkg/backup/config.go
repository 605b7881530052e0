package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/guard"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// ErrPlainConfig means that configuration would be written in plain, and nobody allowed that.
var ErrPlainConfig = errors.New("configuration files hold secrets, and there is no recipient to seal them to")

// ErrNoPaths means that none of the paths is there.
var ErrNoPaths = errors.New("none of the paths is there")

// ConfigOptions say which files to back up, where to, and how.
type ConfigOptions struct {
	Paths []string // absolute: files, and directories with all that is in them
	// Guessed says that nobody chose the paths: one that is not there is no reason to warn.
	Guessed bool
	Catalog *catalog.Catalog

	Seal          seal.Options
	RequireSealed bool           // refuse to write a plain set, whatever AllowPlain says
	AllowPlain    bool           // write a plain set when there is nobody to seal to
	Signer        catalog.Signer // nil: the set is not signed
	Readback      string         // catalog.Readback…; default decode
	MaxFile       int64          // a larger file is not taken; 0: 64 MiB
	Release       Release        // facts about the application, for the manifest
	Shrink        int            // a set that lost more than so many percent is suspect; 0: none is

	// Free returns the free bytes of the repository, an error when nobody knows; nil: not asked.
	Free     func(context.Context) (int64, error)
	Progress Progress
	Logger   *slog.Logger
	// Step, if set, is called at named points, for tests that interfere there.
	Step func(name string)
}

// ConfigResult is a published set, and what became of the paths.
type ConfigResult struct {
	Result
	Packed archive.Packed // its Missing are those that are not there, also when they were guessed
}

// Config backs up configuration files. What cannot be read is named in the set's index and makes the set incomplete;
// the manifest, which is not sealed, has names only where the set is not sealed either. Errors that callers tell apart:
// ErrPlain, ErrPlainConfig, ErrNoPaths, archive.ErrPath, *SpaceError.
func Config(ctx context.Context, o ConfigOptions) (ConfigResult, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return ConfigResult{}, err
	}
	removed, err := o.Catalog.Sweep(ctx, configset.Group())
	if err != nil {
		return ConfigResult{}, fmt.Errorf("clean up after earlier runs: %w", err)
	}
	r := &configRun{ConfigOptions: o}
	result, err := r.do(ctx)
	result.Removed = removed
	return result, err
}

func (o ConfigOptions) withDefaults() ConfigOptions {
	o.Readback = cmp.Or(o.Readback, catalog.ReadbackDecode)
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return o
}

// check stops a run before anything is written.
func (o ConfigOptions) check() error {
	// The same rules as for databases; a config set has no fingerprint.
	shared := DatabaseOptions{Seal: o.Seal, RequireSealed: o.RequireSealed, Readback: o.Readback, Fingerprint: catalog.FingerprintNone}
	if err := errors.Join(shared.checkLevels(), shared.checkRecipients()); err != nil {
		return err
	}
	if len(o.Seal.Recipients) == 0 && !o.AllowPlain {
		return ErrPlainConfig
	}
	for _, path := range o.Paths {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			return nil // one that cannot be looked at is there, or may be
		}
	}
	return ErrNoPaths
}

type configRun struct {
	ConfigOptions
	draft    *catalog.Draft
	earlier  []catalog.Set
	packed   archive.Packed
	archive  artifact.Written
	index    artifact.Written
	recovery artifact.Written
	manifest catalog.Manifest
	warnings []string
	stages   []catalog.Stage
}

func (r *configRun) do(ctx context.Context) (ConfigResult, error) {
	defer func() {
		r.archive.Forget()
		r.index.Forget()
	}()
	var err error
	if r.earlier, err = r.Catalog.List(ctx, configset.Group()); err != nil {
		return ConfigResult{}, fmt.Errorf("list earlier sets: %w", err)
	}
	if err := r.checkSpace(ctx); err != nil {
		return ConfigResult{}, err
	}
	if r.draft, err = r.Catalog.Begin(ctx, configset.Group()); err != nil {
		return ConfigResult{}, fmt.Errorf("start set: %w", err)
	}
	r.draft.SignWith(r.Signer)
	r.warnings = append(r.warnings, r.draft.Warnings...)
	set, err := r.write(ctx)
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what broke then, broke because of it
		}
		return ConfigResult{Packed: r.packed}, errors.Join(err, r.draft.Discard(context.WithoutCancel(ctx)))
	}
	return ConfigResult{Result: Result{Set: set, Warnings: r.warnings, Stages: r.stages}, Packed: r.packed}, nil
}

// checkSpace compares the free bytes with the last good set and a quarter.
func (r *configRun) checkSpace(ctx context.Context) error {
	shared := &databaseRun{DatabaseOptions: DatabaseOptions{Free: r.Free, Logger: r.Logger}}
	return shared.checkSpace(ctx, Need(r.earlier, 0))
}

func (r *configRun) write(ctx context.Context) (catalog.Set, error) {
	if err := r.writeRecover(ctx); err != nil {
		return catalog.Set{}, err
	}
	r.Step("begun")
	if err := r.stage("pack", func() error { return r.pack(ctx) }); err != nil {
		return catalog.Set{}, err
	}
	r.Step("packed")
	if err := r.stage("read back", func() error { return r.readBack(ctx) }); err != nil {
		return catalog.Set{}, err
	}
	r.Step("read back")
	r.describe()
	if err := r.judge(ctx); err != nil {
		return catalog.Set{}, err
	}
	r.Step("judged")
	set, err := r.draft.Publish(ctx, r.manifest)
	if err != nil {
		return catalog.Set{}, fmt.Errorf("publish set: %w", err)
	}
	r.Step("published")
	return set, nil
}

// pack writes the archive, then the index of what came into it.
func (r *configRun) pack(ctx context.Context) (err error) {
	sealing := r.Seal
	sealing.Jobs = 1
	meter := newMeter(func(done int64) { r.Progress("pack", done, 0) })
	r.archive, err = artifact.Write(ctx, r.draft, sealing, configset.ArchiveName, func(w io.Writer) (err error) {
		r.packed, err = archive.Pack(ctx, metered{w, meter}, r.Paths, archive.PackOptions{
			MaxFile: r.MaxFile, Step: func(name, _ string) { r.Step("file " + name) },
		})
		return err
	})
	if err != nil {
		return err
	}
	r.Step("archived")
	r.index, err = artifact.Write(ctx, r.draft, sealing, configset.IndexName, func(w io.Writer) error {
		index := archive.NewIndexWriter(w)
		for _, e := range r.packed.Entries {
			if err := index.Write(e); err != nil {
				return err
			}
		}
		return index.Close()
	})
	return err
}

// metered counts what passes.
type metered struct {
	w     io.Writer
	meter *meter
}

func (m metered) Write(p []byte) (int, error) {
	m.meter.add(len(p))
	return m.w.Write(p)
}

// readBack proves what lies in the repository: both artifacts, and that the archive holds what the index says.
func (r *configRun) readBack(ctx context.Context) error {
	compare := func(plain io.Reader) error { return configset.Match(plain, r.packed.Entries, nil) }
	if err := r.archive.ReadBack(ctx, r.draft, r.Readback, nil, compare); err != nil {
		return err
	}
	if err := r.index.ReadBack(ctx, r.draft, r.Readback, nil, nil); err != nil {
		return err
	}
	return r.recovery.ReadBack(ctx, r.draft, catalog.ReadbackHash, nil, nil)
}

func (r *configRun) stage(name string, f func() error) error {
	start := time.Now()
	err := f()
	r.stages = append(r.stages, catalog.Stage{Name: name, Seconds: time.Since(start).Seconds()})
	return err
}

// describe fills in what the manifest says, and what is said to the operator: the same, but with names.
func (r *configRun) describe() {
	m, p := &r.manifest, r.packed
	m.Readback = r.Readback
	m.Artifacts = []catalog.Artifact{r.archive.Artifact, r.index.Artifact}
	m.Contents = &catalog.Contents{Files: p.Totals.Files, Directories: p.Totals.Directories, Links: p.Totals.Links, Bytes: p.Totals.Bytes}
	if r.Release != (Release{}) {
		m.Source = &catalog.Source{ReleaseDir: r.Release.Dir, GitRevision: r.Release.Revision}
	}
	shared := DatabaseOptions{Seal: r.Seal}
	m.Encryption = shared.encryption()
	sealed := m.Encryption != nil
	m.Warnings = slices.Clone(r.warnings)
	if !r.Guessed {
		r.warn(sealed, "is not there", p.Missing)
	}
	r.warn(sealed, "changed at every look: what was stored may never have been its content", p.Changing)
	m.Incomplete = p.Unread
	if sealed && len(p.Unread) > 0 {
		m.Incomplete = []string{fmt.Sprintf("%d paths could not be read; the index names them", len(p.Unread))}
	}
}

// warn says of paths what is odd about them, in the manifest without their names where those are sealed.
func (r *configRun) warn(sealed bool, what string, paths []string) {
	if sealed && len(paths) > 0 {
		r.manifest.Warnings = append(r.manifest.Warnings, fmt.Sprintf("%d paths: %s", len(paths), what))
	}
	for _, path := range paths {
		r.warnings = append(r.warnings, path+" "+what)
		if !sealed {
			r.manifest.Warnings = append(r.manifest.Warnings, path+" "+what)
		}
	}
}

// judge marks the draft as suspect when it holds much less than the sets before it.
func (r *configRun) judge(ctx context.Context) error {
	return judge(ctx, r.draft, r.Shrink, r.earlier, &r.manifest, contentMeasures)
}

// contentMeasures is what a set of files holds.
func contentMeasures(m *catalog.Manifest) guard.Measures {
	if m.Contents == nil {
		return guard.Measures{}
	}
	return guard.Measures{{Unit: guard.Files}: m.Contents.Files, {Unit: guard.Bytes}: m.Contents.Bytes}
}
