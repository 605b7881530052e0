package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/inventory"
	"github.com/bmad-forge/forgectl/pkg/recovery"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// promisedAge is the word for recovery.rpo in place of a time.
const promisedAge = "rpo"

// ageLimit is the value of --max-age.
type ageLimit struct {
	limit time.Duration
	rpo   bool // that of the configuration, which also warns
	given bool
}

func (l *ageLimit) Type() string { return "TIME|" + promisedAge }

func (l *ageLimit) String() string {
	switch {
	case l.rpo:
		return promisedAge
	case !l.given:
		return ""
	}
	return l.limit.String()
}

// Set reads a time or the word.
func (l *ageLimit) Set(s string) error {
	*l = ageLimit{given: true, rpo: s == promisedAge}
	if l.rpo {
		return nil
	}
	var err error
	if l.limit, err = config.ParseDuration(s); err != nil {
		return fmt.Errorf("want a time such as 26h or 7d, or %s", promisedAge)
	}
	return nil
}

// ageFlag is --max-age.
func ageFlag(cmd *cobra.Command, l *ageLimit, usage string) {
	cmd.Flags().Var(l, "max-age", usage)
	complete(cmd, "max-age", cobra.FixedCompletions([]string{cobra.CompletionWithDesc(promisedAge, "recovery.rpo of the configuration")}, cobra.ShellCompDirectiveNoFileComp))
}

// checkAgeLimit finds nonsense in --max-age.
func (a *App) checkAgeLimit(l ageLimit) error {
	if l.given && !l.rpo && l.limit <= 0 {
		return a.misuse("--max-age %s: must be more than 0", l.limit)
	}
	if !l.rpo {
		return nil
	}
	cfg, err := a.Config()
	if err == nil && cfg.Recovery.RPO == 0 {
		err = withHint(unknown("--max-age %s: recovery.rpo is not set", promisedAge), "set recovery.rpo, or say how old a set may be: --max-age 36h")
	}
	return err
}

// checkAge fails when the newest good set is older than it may be, and warns when
// it is about to be older than was promised.
func (a *App) checkAge(ctx context.Context, repo *repository, g catalog.Group, l ageLimit, warn func(string)) error {
	limit, the, of := l.limit, "", ""
	if l.rpo {
		limit, the, of = a.loaded.Recovery.RPO, "the ", " that recovery.rpo promises"
	}
	s, passed, err := repo.Newest(ctx, g, time.Time{})
	if err != nil {
		return withCode(exitCritical, err)
	}
	age, err := inventory.Age(s, a.Now())
	if err != nil {
		return err
	}
	next := "forgectl history"
	if len(passed) > 0 && passed[0].Suspect() {
		next = acceptHint(passed[0].Ref)
	}
	state := recovery.Judge(age, limit)
	switch {
	case state == recovery.Broken:
		return withHint(withCode(exitCritical, fmt.Errorf("the newest good set of %s is %s old, more than %s%s: %s", g, ui.Age(age), the+recovery.Format(limit), of, s.Ref)), "%s", next)
	case state == recovery.Near && l.rpo:
		warn(fmt.Sprintf("the newest good set of %s is %s old, which comes near the %s that recovery.rpo promises: %s", g, ui.Age(age), recovery.Format(limit), s.Ref))
	}
	return nil
}

// checkTime fails when a drill that went well took longer than was promised for a
// restore, and warns when it nearly did.
func (a *App) checkTime(set string, drill []catalog.Stage, warn func(string)) (*recoveryTime, error) {
	promised := a.loaded.Recovery.RTO
	if promised == 0 {
		return nil, nil
	}
	took := recovery.Time(drill)
	shown := &recoveryTime{Seconds: took.Seconds(), Promised: promised.Seconds(), Kept: true}
	text := fmt.Sprintf("%s is whole, but its recovery took %s", set, ui.Duration(took))
	switch recovery.Judge(took, promised) {
	case recovery.Broken:
		shown.Kept = false
		return shown, withHint(withCode(exitCritical, fmt.Errorf("%s, more than the %s that recovery.rto promises", text, recovery.Format(promised))),
			"the set is good and stays so; a faster server, a smaller database, or another promise: forgectl config show recovery")
	case recovery.Near:
		warn(fmt.Sprintf("%s, which comes near the %s that recovery.rto promises", text, recovery.Format(promised)))
	}
	return shown, nil
}

// recoveryTime is what was measured of a recovery and what was promised, in JSON.
type recoveryTime struct {
	Seconds  float64 `json:"seconds"`
	Promised float64 `json:"promised_seconds"`
	Kept     bool    `json:"kept"`
}

// String is "recovery 5.9s of 30m promised".
func (r *recoveryTime) String() string {
	verb := "of"
	if !r.Kept {
		verb = "instead of"
	}
	return fmt.Sprintf("recovery %s %s %s promised", seconds(r.Seconds), verb, recovery.Format(time.Duration(r.Promised*float64(time.Second))))
}
