package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/ui"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// verifySets examines one set after the other, full sets first: with each goes all
// that it refers to, which then is done. What one lacks does not keep it from the
// others; the end of the context does.
func (a *App) verifySets(ctx context.Context, run *job.Run, o verify.Options, sets []catalog.Set) ([]verifiedSet, error) {
	r := &verifications{app: a, run: run, done: map[catalog.Ref]bool{}}
	progress := a.Stages()
	defer progress.done()
	o.Progress = progress.report
	sets = slices.Clone(sets)
	slices.SortStableFunc(sets, func(a, b catalog.Set) int { return cmp.Compare(fullFirst(a), fullFirst(b)) })
	several := len(sets) > 1
	for _, s := range sets {
		if r.done[s.Ref] {
			continue
		}
		v, err := verify.Verify(ctx, suited(o, s, several), s)
		for _, part := range v.Parts {
			r.add(part)
		}
		if err != nil {
			r.errs = append(r.errs, verifyError(s, err), v.Files.Err())
			if ctx.Err() != nil {
				break
			}
			continue
		}
		r.add(v)
	}
	progress.done()
	run.Fact("verified", r.shown)
	return r.shown, all(r.errs...)
}

func fullFirst(s catalog.Set) int {
	if s.Kind == catalog.KindFull {
		return 0
	}
	return 1
}

// verifications are the verdicts of one run.
type verifications struct {
	app   *App
	run   *job.Run
	done  map[catalog.Ref]bool
	shown []verifiedSet
	errs  []error
}

// add takes a verdict into what is shown, warned of and reported.
func (r *verifications) add(v verify.Verdict) {
	s := v.Set
	r.done[s.Ref] = true
	one := verifiedSet{
		Set: s.Ref.String(), Level: v.Level, OK: v.OK, Problems: []string{}, Warnings: append([]string{}, v.Warnings...),
		Stages: append([]catalog.Stage{}, v.Stages...), Seconds: v.Seconds(),
		Signature: inventory.SignatureOf(v.Signature),
	}
	if v.OK && s.Kind == catalog.KindMedia {
		one.compared = things(int(v.Hashed), "file") + ", " + ui.Bytes(v.HashedBytes) + " read"
		if v.Owners != "" {
			one.compared += ", " + v.Owners
		}
	}
	for _, d := range v.Damage {
		one.Problems = append(one.Problems, d.Error())
		var damage *catalog.DamageError
		if !errors.As(d, &damage) || damage.Kind != catalog.DamagePart { // what is wrong with the part has been said
			r.errs = append(r.errs, verifyError(s, d))
		}
	}
	for _, w := range v.Warnings {
		r.run.Warn(one.Set + ": " + w)
	}
	for _, removed := range v.Removed {
		r.run.Log.Info("removed what a dead run left", "directory", removed)
	}
	if f := v.Files; f != nil {
		one.Files = &foundFiles{Named: f.Named, Missing: f.Missing, MissingNames: append([]string{}, f.Names...), Orphans: f.Orphans}
		if err := f.Err(); err != nil {
			r.errs = append(r.errs, verifyError(s, err))
		}
	}
	if v.OK && v.Level == catalog.LevelDrill && s.Kind == catalog.KindDatabase {
		one.compared = compared(s.Manifest.Fingerprint)
		var slow error
		one.Recovery, slow = r.app.checkTime(one.Set, v.Stages, r.run.Warn)
		r.errs = append(r.errs, slow)
	}
	r.shown = append(r.shown, one)
}

// suited are the options for one set among several of all kinds: what is only for
// files, or only for databases, does not keep the others from being looked at.
func suited(o verify.Options, s catalog.Set, several bool) verify.Options {
	if several && s.Kind == catalog.KindMedia && o.Level == catalog.LevelDrill {
		o.Level = catalog.LevelDecode // who asks for all means as far as each can go
	}
	if several && s.Kind != catalog.KindMedia {
		o.Sample = 0
	}
	return o
}

// verifyError names the set, once. What the drill host lacks says nothing about
// the set, so it is UNKNOWN.
func verifyError(s catalog.Set, err error) error {
	var damage *catalog.DamageError
	named := fmt.Errorf("verify %s: %w", s.Ref, err)
	if errors.As(err, &damage) {
		named = fmt.Errorf("verify %w", err)
	}
	var missing *pgdump.MissingError
	if errors.As(err, &missing) && !errors.Is(err, catalog.ErrDamaged) {
		return withHint(withCode(exitUnknown, named), "install it on this host, or drill on one that has it")
	}
	return named
}
