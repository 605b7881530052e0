// Package verify examines a backup set and gives one verdict.
//
// The levels build on one another. Checksum: every file is there and is what
// was written, and the signature, where there is one, fits. Decode: every artifact decrypts and decompresses to the bytes
// that went in. Drill: the set is restored into a throwaway server and compared
// with the fingerprint that was taken with it; the time that this takes is the
// measured recovery time. Only a drill proves a backup.
//
// A verdict is about the set. What is about this host (no secret key, no server
// binaries, no space) is an error and never a verdict: nothing is recorded, and
// the set is neither good nor bad for it.
package verify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
	"github.com/bmad-forge/forgectl/pkg/postgres/filecolumns"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// Options say how to verify.
type Options struct {
	Catalog *catalog.Catalog
	Unlock  seal.Unlocker // nil: only plain sets can be decoded
	Level   string        // catalog.Level…; default checksum

	// Provenance says whose signatures count.
	Provenance provenance.Policy
	// Group lists the sets of a group, to compare servers; nil: they are not compared.
	Group func(context.Context, catalog.Group) ([]catalog.Set, error)

	// Columns, of a full set, are those whose values a drill looks for in the media set.
	Columns []filecolumns.Column

	// Sample, of a tree, is the share of the files, above 0 and below 1, whose contents are hashed: those that nobody has
	// hashed for longest. 0: all of them.
	Sample float64

	// For drills:
	Finder  postgres.ToolFinder
	Runner  proc.Runner
	Jobs    int             // sessions that load at once; below 2: one
	Scratch scratch.Options // Dir, OSUser; the drill fills in binaries, locale and libraries
	// FreeScratch returns the free bytes where the throwaway server will live; nil: not asked.
	FreeScratch func() (int64, error)

	Progress func(stage string, done, total int64)
	Logger   *slog.Logger
	Now      func() time.Time
	Step     func(name string) // tests interfere there

	// restored, if set, is called in a drill with the database that was restored and compared.
	restored func(context.Context, *postgres.Endpoint) error
}

// Verdict is what was found.
type Verdict struct {
	Set       catalog.Set
	Level     string
	Signature provenance.Finding
	OK        bool
	Damage    []error // each a *catalog.DamageError, a *pgdump.DifferenceError, or why a healthy server refused to load the set
	Stages    []catalog.Stage
	Warnings  []string // the set is as it should be, but somebody should look
	Removed   []string // throwaway servers that killed drills had left

	// Of a full set:
	Parts []Verdict // on what it refers to, as far as that could be examined
	Files *Files    // what a drill found with Options.Columns; nil: it did not look

	// Of a tree:
	Damaged     []string      // the first of its damaged paths
	DamagedMore int64         // damaged paths beyond those
	Hashed      int64         // files whose contents were read, and their bytes
	HashedBytes int64         //
	Owners      string        // what of the owners was not compared; "": everything was
	Shared      []catalog.Ref // other sets that the same damaged files are in: each has a check that says so
	coverage    *catalog.Hashed
}

// Seconds is the time that all stages took together.
func (v Verdict) Seconds() float64 {
	var all float64
	for _, s := range v.Stages {
		all += s.Seconds
	}
	return all
}

// Err is nil for a good verdict, else everything that is wrong, joined.
func (v Verdict) Err() error { return errors.Join(v.Damage...) }

// ErrKind is a set of a kind that nobody here knows how to examine. Nothing is recorded.
var ErrKind = errors.New("sets of this kind cannot be verified yet")

// Verify examines one set and records the verdict beside it. Of a full set everything that it refers to is examined as well,
// with a verdict of its own: the database at the level asked for, the others at no more than decode.
// Of a tree (kind media), checksum and decode are the same:
// everything against its index. Files that turn out damaged are looked for in the other sets of the group, which get a
// check of their own.
func Verify(ctx context.Context, o Options, set catalog.Set) (Verdict, error) {
	o = o.withDefaults()
	v := Verdict{Set: set, Level: o.Level}
	if err := o.examine(ctx, &v); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // what broke then, broke because of it
		}
		return v, err
	}
	v.OK = len(v.Damage) == 0
	if v.refused() {
		return v, nil
	}
	if err := o.record(ctx, v); err != nil && !errors.Is(err, catalog.ErrNotFound) { // a set without sums has no place for it
		v.Warnings = append(v.Warnings, fmt.Sprintf("the verdict could not be recorded beside the set: %v", err))
	}
	return v, nil
}

func (o Options) withDefaults() Options {
	if o.Level == "" {
		o.Level = catalog.LevelChecksum
	}
	if o.Progress == nil {
		o.Progress = func(string, int64, int64) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Step == nil {
		o.Step = func(string) {}
	}
	return o
}

// examine fills in v; its error is about this host.
func (o Options) examine(ctx context.Context, v *Verdict) error {
	if !slices.Contains([]string{catalog.LevelChecksum, catalog.LevelDecode, catalog.LevelDrill}, o.Level) {
		return fmt.Errorf("unknown level %q", o.Level)
	}
	if o.Sample != 0 && v.Set.Kind != catalog.KindMedia {
		return fmt.Errorf("%s: %w", v.Set.Ref, ErrNoSample)
	}
	switch v.Set.Kind {
	case catalog.KindDatabase:
		return o.database(ctx, v)
	case catalog.KindConfig:
		return o.config(ctx, v)
	case catalog.KindFull:
		return o.full(ctx, v)
	case catalog.KindMedia:
		return o.media(ctx, v)
	}
	return ErrKind
}

// database examines a set of a database.
func (o Options) database(ctx context.Context, v *Verdict) error {
	reader := dumpset.Reader{Catalog: o.Catalog, Set: v.Set, Unlock: o.Unlock}
	if whole, err := o.sums(ctx, v, reader); err != nil || !whole {
		return err
	}
	switch o.Level {
	case catalog.LevelDecode:
		return o.stage(v, "decode", func() (err error) {
			reader.Progress = o.meter("decode", rawBytes(v.Set))
			v.Damage, err = reader.Decode(ctx)
			return err
		})
	case catalog.LevelDrill:
		return o.drill(ctx, v, reader)
	}
	return nil
}

// sums is what is the same for sets of every kind: the hash of each file of SHA256SUMS, and where the set comes from.
// whole is that no damage was found.
func (o Options) sums(ctx context.Context, v *Verdict, reader dumpset.Reader) (whole bool, err error) {
	problem := v.Set.Problem
	if problem != nil && !errors.Is(problem, catalog.ErrDamaged) {
		return false, problem
	}
	if problem != nil && v.Set.Manifest == nil {
		v.Damage = append(v.Damage, problem)
		return false, nil
	}
	if problem == nil && o.Level != catalog.LevelChecksum && reader.Sealed() && o.Unlock == nil {
		return false, fmt.Errorf("%s: %w", v.Set.Ref, seal.ErrNoSecretKey)
	}
	err = o.stage(v, "checksum", func() (err error) {
		reader.Progress = o.meter("checksum", v.Set.Bytes)
		v.Damage, err = reader.Hash(ctx)
		return err
	})
	if err == nil {
		err = o.provenance(ctx, v)
	}
	if err != nil {
		return false, err
	}
	if problem != nil && !slices.ContainsFunc(v.Damage, func(d error) bool { return sameFile(d, problem) }) {
		v.Damage = append([]error{problem}, v.Damage...)
	}
	if len(v.Damage) > 0 {
		return false, nil
	}
	o.Step("hashed")
	return true, nil
}

// sameFile reports whether both are damage of one file.
func sameFile(a, b error) bool {
	var first, second *catalog.DamageError
	return errors.As(a, &first) && errors.As(b, &second) && first.Artifact == second.Artifact
}

func rawBytes(s catalog.Set) (n int64) {
	for _, a := range s.Manifest.Artifacts {
		n += a.RawBytes
	}
	return n
}

func (o Options) meter(stage string, total int64) func(int64) {
	var done int64
	return func(n int64) {
		done += n
		o.Progress(stage, done, total)
	}
}

// stage times f and remembers it, whatever comes of it.
func (o Options) stage(v *Verdict, name string, f func() error) error {
	o.Progress(name, 0, 0)
	start := time.Now()
	err := f()
	v.took(name, time.Since(start))
	return err
}

func (v *Verdict) took(name string, d time.Duration) {
	v.Stages = append(v.Stages, catalog.Stage{Name: name, Seconds: d.Seconds()})
}

func (o Options) record(ctx context.Context, v Verdict) error {
	check := catalog.Check{
		Time:   o.Now().UTC(),
		What:   catalog.CheckVerify,
		Level:  v.Level,
		OK:     v.OK,
		Stages: v.Stages,
	}
	for _, d := range v.Damage {
		check.Problems = append(check.Problems, d.Error())
	}
	if v.Files != nil && v.Files.Missing > 0 {
		check.Problems = append(check.Problems, v.Files.Err().Error())
	}
	if v.Set.Kind == catalog.KindMedia {
		v.recordTree(&check)
	}
	// What was found counts, also when the run is told to end just now.
	return o.Catalog.AddCheck(context.WithoutCancel(ctx), v.Set.Ref, check)
}
