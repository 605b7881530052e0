package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/configset"
	"github.com/bmad-forge/forgectl/pkg/guard"
)

// ErrPlainConfig means that configuration would be written in plain, and nobody allowed that.
var ErrPlainConfig = errors.New("configuration files hold secrets, and there is no recipient to seal them to")

// ErrNoPaths means that none of the paths is there.
var ErrNoPaths = errors.New("none of the paths is there")

// ConfigOptions say which files to back up, where to, and how.
type ConfigOptions struct {
	SetOptions
	Sealing
	Paths []string // absolute: files, and directories with all that is in them
	// Guessed says that nobody chose the paths: one that is not there is no reason to warn.
	Guessed    bool
	AllowPlain bool  // write a plain set when there is nobody to seal to, unless RequireSealed
	MaxFile    int64 // a larger file is not taken; 0: 64 MiB
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
	o.SetOptions, o.Sealing = o.SetOptions.withDefaults(), o.Sealing.withDefaults()
	if err := o.check(); err != nil {
		return ConfigResult{}, err
	}
	removed, err := o.sweep(ctx, configset.Group())
	if err != nil {
		return ConfigResult{}, err
	}
	r := &configRun{ConfigOptions: o, setRun: setRun{to: o.SetOptions, group: configset.Group()}}
	defer r.forget()
	result, err := r.write(ctx, r)
	result.Removed = removed
	return ConfigResult{Result: result, Packed: r.packed}, err
}

// check stops a run before anything is written.
func (o ConfigOptions) check() error {
	if err := o.Sealing.check(); err != nil {
		return err
	}
	if !o.sealed() && !o.AllowPlain {
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
	setRun
	packed  archive.Packed
	archive artifact.Written
	index   artifact.Written
}

// forget wipes the keys that the read-back used.
func (r *configRun) forget() {
	r.archive.Forget()
	r.index.Forget()
}

// prepare compares the free bytes with the last good set and a quarter.
func (r *configRun) prepare(ctx context.Context) error { return r.hasRoom(ctx, Need(r.earlier, 0)) }

func (r *configRun) measure(m *catalog.Manifest) guard.Measures { return contentMeasures(m) }

func (r *configRun) stage() string { return "pack" }

// fill writes the archive, then the index of what came into it.
func (r *configRun) fill(ctx context.Context) (err error) {
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
	r.Step("packed")
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
	return r.index.ReadBack(ctx, r.draft, r.Readback, nil, nil)
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
	m.Encryption = r.encryption()
	sealed := r.sealed()
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
