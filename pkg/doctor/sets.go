package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/recovery"
)

// A set should come every night, and a drill every month.
const (
	nightly   = 26 * time.Hour
	forgotten = 3 * 24 * time.Hour
	monthly   = 35 * 24 * time.Hour
)

// checkSets looks at the age of the newest good set, and at what is newer and not good.
func checkSets(ctx context.Context, x *exam) []Finding {
	sets, err := x.listed(ctx)
	if err != nil {
		return unknown(err, "forgectl config show repository")
	}
	var all []Finding
	for _, s := range slices.Backward(sets) {
		good, why := x.good(ctx, s)
		if !good {
			all = append(all, found(Warning, x.badSet(s), "%s is not good: %s", s.Ref, why))
			continue
		}
		return slices.Concat(all, x.oldSuspects(sets, s.ID), []Finding{x.judgeAge(s)})
	}
	return append(all, found(Warning, []string{"forgectl backup db"}, "there is no good set of %s yet", x.Database))
}

// badSet is what to do about a set that is not good.
func (x *exam) badSet(s catalog.Set) []string {
	name := proc.ShellWord(s.Ref.String())
	if s.Suspect() {
		return []string{"forgectl backup show " + name, "forgectl backup accept " + name + " --reason TEXT   # if it is right"}
	}
	return []string{"forgectl backup verify " + name}
}

// oldSuspects are older than the newest good set, which hides nothing: they freeze
// the pruning all the same.
func (x *exam) oldSuspects(sets []catalog.Set, newest catalog.ID) (all []Finding) {
	for _, s := range sets {
		if s.ID < newest && s.Suspect() {
			all = append(all, found(Warning, x.badSet(s), "no set is removed as long as %s is suspect: %s", s.Ref, s.Suspicion().Reason))
		}
	}
	return all
}

// judgeAge holds the newest good set against what was promised; where nothing
// was, against a set each night.
func (x *exam) judgeAge(s catalog.Set) Finding {
	age := x.Now().Sub(s.Began(x.Now()))
	late := []string{"forgectl history", "forgectl backup db"}
	state, promise := recovery.Judge(age, x.RPO), ""
	switch {
	case x.RPO > 0:
		promise = ", and recovery.rpo promises " + recovery.Format(x.RPO)
	case age > forgotten:
		state = recovery.Broken
	case age > nightly:
		state = recovery.Near
	}
	switch state {
	case recovery.Broken:
		return found(Critical, late, "the newest good set, %s, is %s old%s", s.Ref, days(age), promise)
	case recovery.Near:
		return found(Warning, late, "the newest good set, %s, is %s old%s", s.Ref, days(age), promise)
	}
	return found(OK, nil, "the newest good set is %s, %s", s.Ref, size(s.Bytes))
}

// judgeTime holds what a drill took against what was promised.
func (x *exam) judgeTime(s catalog.Set, drill *catalog.Check) []Finding {
	took := recovery.Time(drill.Stages)
	remedy := []string{"forgectl config show recovery", "forgectl backup show " + proc.ShellWord(s.Ref.String())}
	switch recovery.Judge(took, x.RTO) {
	case recovery.Broken:
		return []Finding{found(Critical, remedy, "a restore of %s would take %s by its drill, and recovery.rto promises %s; the set itself is good", s.Ref, recovery.Format(took.Round(time.Second)), recovery.Format(x.RTO))}
	case recovery.Near:
		return []Finding{found(Warning, remedy, "a restore of %s would take %s by its drill, which comes near the %s that recovery.rto promises", s.Ref, recovery.Format(took.Round(time.Second)), recovery.Format(x.RTO))}
	}
	return nil
}

// checkDrill says when a drill last proved that the key opens the newest set. A
// drill of an earlier set counts when both are sealed to the same keys.
func checkDrill(ctx context.Context, x *exam) []Finding {
	sets, err := x.listed(ctx)
	if err != nil {
		return unknown(errUnopened)
	}
	newest, good := x.newestGood(ctx, sets)
	if !good {
		return unknown(errNoSet)
	}
	remedy := []string{"forgectl backup verify --drill   # on the host that has the secret key"}
	for _, s := range slices.Backward(sets) {
		drill := s.LastCheck(catalog.LevelDrill)
		if drill == nil {
			continue
		}
		age := x.Now().Sub(drill.Time)
		slow := x.judgeTime(s, drill)
		switch {
		case !slices.Equal(fingerprints(s), fingerprints(newest)):
			return append(slow, found(Warning, remedy, "no drill has opened a set with the keys of the newest one: %s, drilled last, is sealed to others", s.Ref))
		case age > monthly:
			return append(slow, found(Warning, remedy, "the last drill, of %s, was %s ago", s.Ref, days(age)))
		case s.ID != newest.ID:
			return append(slow, ok("a drill on %s opened %s %s ago; the newest set is sealed to the same keys", drill.Host, s.Ref, days(age))...)
		}
		return append(slow, ok("a drill on %s opened the newest set %s ago, in %.0f s", drill.Host, days(age), drill.Seconds())...)
	}
	return []Finding{found(Warning, remedy, "no drill has ever proven that the key opens these sets")}
}
