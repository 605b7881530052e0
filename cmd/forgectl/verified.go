package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/ui"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// verifiedSet is one set in the JSON of forgectl backup verify.
type verifiedSet struct {
	Set      string          `json:"set"`
	Level    string          `json:"level"`
	OK       bool            `json:"ok"`
	Problems []string        `json:"problems"`
	Warnings []string        `json:"warnings"`
	Stages   []catalog.Stage `json:"stages"`
	Seconds  float64         `json:"seconds"`
	Recovery *recoveryTime   `json:"recovery,omitempty"`

	Signature *shownSignature `json:"signature"`

	compared string
}

// verifySets examines one set after the other. What one lacks does not keep it
// from the others; the end of the context does.
func (a *App) verifySets(ctx context.Context, run *job.Run, o verify.Options, sets []catalog.Set) ([]verifiedSet, error) {
	var shown []verifiedSet
	var errs []error
	progress := a.Stages()
	defer progress.done()
	o.Progress = progress.report
	for _, s := range sets {
		v, err := verify.Verify(ctx, o, s)
		if err != nil {
			errs = append(errs, verifyError(s, err))
			if ctx.Err() != nil {
				break
			}
			continue
		}
		one := verifiedSet{
			Set: s.Ref.String(), Level: v.Level, OK: v.OK, Problems: []string{}, Warnings: append([]string{}, v.Warnings...),
			Stages: append([]catalog.Stage{}, v.Stages...), Seconds: v.Seconds(),
			Signature: showSignature(v.Signature),
		}
		for _, d := range v.Damage {
			one.Problems = append(one.Problems, d.Error())
			errs = append(errs, verifyError(s, d))
		}
		for _, w := range v.Warnings {
			run.Warn(one.Set + ": " + w)
		}
		for _, removed := range v.Removed {
			run.Log.Info("removed what a dead run left", "directory", removed)
		}
		if v.OK && v.Level == catalog.LevelDrill {
			one.compared = compared(s.Manifest.Fingerprint)
			var slow error
			one.Recovery, slow = a.checkTime(one.Set, v.Stages, run.Warn)
			errs = append(errs, slow)
		}
		shown = append(shown, one)
	}
	progress.done()
	run.Fact("verified", shown)
	return shown, all(errs...)
}

// compared is what a drill has compared.
func compared(f *catalog.Fingerprint) string {
	if f == nil || f.Level == catalog.FingerprintNone {
		return "nothing to compare with"
	}
	return contents(f) + ", compared"
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

func verifiedResult(shown []verifiedSet) result {
	return result{
		JSON: map[string][]verifiedSet{"verified": append([]verifiedSet{}, shown...)},
		Text: func(s *ui.Streams) error {
			t := s.Table(ui.Column{Title: "SET"}, ui.Column{Title: "LEVEL"}, ui.Column{Title: "VERDICT"}, ui.Column{Title: "TOOK", Right: true}, ui.Column{Title: "DETAILS"})
			for _, v := range shown {
				verdict, details := s.Good("ok"), stageTimes(v.Stages)
				if v.compared != "" {
					details = v.compared + "; " + details
				}
				if v.Recovery != nil {
					details = v.Recovery.String() + "; " + details
				}
				if !v.OK {
					verdict, details = s.Bad("damaged"), v.Problems[0]
				}
				t.Row(v.Set, v.Level, verdict, seconds(v.Seconds), details)
			}
			return t.Flush()
		},
	}
}
