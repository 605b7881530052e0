package doctor

import (
	"context"
	"slices"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
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
		good, why := s.Good()
		if !good {
			all = append(all, found(Warning, []string{"forgectl backup verify " + quote(s.Ref.String())}, "%s is not good: %s", s.Ref, why))
			continue
		}
		age := x.Now().Sub(s.Began(x.Now()))
		late := []string{"forgectl history", "forgectl backup db"}
		switch {
		case age > forgotten:
			return append(all, found(Critical, late, "the newest good set, %s, is %s old", s.Ref, days(age)))
		case age > nightly:
			return append(all, found(Warning, late, "the newest good set, %s, is %s old", s.Ref, days(age)))
		}
		return append(all, found(OK, nil, "the newest good set is %s, %s", s.Ref, size(s.Bytes)))
	}
	return append(all, found(Warning, []string{"forgectl backup db"}, "there is no good set of %s yet", x.Database))
}

// checkDrill says when a drill last proved that the key opens the newest set. A
// drill of an earlier set counts when both are sealed to the same keys.
func checkDrill(ctx context.Context, x *exam) []Finding {
	sets, err := x.listed(ctx)
	if err != nil {
		return unknown(errUnopened)
	}
	newest, good := newestGood(sets)
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
		switch {
		case !slices.Equal(fingerprints(s), fingerprints(newest)):
			return []Finding{found(Warning, remedy, "no drill has opened a set with the keys of the newest one: %s, drilled last, is sealed to others", s.Ref)}
		case age > monthly:
			return []Finding{found(Warning, remedy, "the last drill, of %s, was %s ago", s.Ref, days(age))}
		case s.ID != newest.ID:
			return ok("a drill on %s opened %s %s ago; the newest set is sealed to the same keys", drill.Host, s.Ref, days(age))
		}
		return ok("a drill on %s opened the newest set %s ago, in %.0f s", drill.Host, days(age), drill.Seconds())
	}
	return []Finding{found(Warning, remedy, "no drill has ever proven that the key opens these sets")}
}
