package doctor

import (
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
)

// Promise: that the backups have stopped is noticed, and a newest set that is not
// good does not hide behind an older one.
func TestSets(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		age  time.Duration
		want string
	}{
		{25 * time.Hour, "ok: the newest good set is forge/2026112"},
		{27 * time.Hour, "warning: is 27 hours old | forgectl history"},
		{4 * 24 * time.Hour, "critical: is 4 days old"},
	} {
		h := newHost(t)
		h.set(now.Add(-c.age), fingerprintOf(h.key))
		wants(t, h.only("sets"), c.want)
	}
	h := newHost(t)
	wants(t, h.only("sets"), "warning: there is no good set of forge yet | forgectl backup db")
	h.set(now.Add(-2*time.Hour), fingerprintOf(h.key))
	bad := h.set(now.Add(-time.Hour), fingerprintOf(h.key))
	if err := h.catalog(now).AddCheck(t.Context(), bad, catalog.Check{Time: now, What: catalog.CheckSuspect, Reason: "half the rows"}); err != nil {
		t.Fatal(err)
	}
	wants(t, h.only("sets"), "warning: "+bad.String()+" is not good: suspect: half the rows | forgectl backup verify "+bad.String(), "ok: the newest good set")
}

// Promise: a drill counts for the newest set only when it opened one that is
// sealed to the same keys, and not for ever.
func TestDrill(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, c := range []struct {
		name    string
		drill   time.Duration // before now; 0: none
		sameKey bool
		newest  bool // was drilled itself
		want    string
	}{
		{"never", 0, true, false, "warning: no drill has ever proven | forgectl backup verify --drill"},
		{"the newest", time.Hour, true, true, "ok: a drill on drills opened the newest set 60 minutes ago"},
		{"an earlier one", 6 * day, true, false, "ok: 6 days ago; the newest set is sealed to the same keys"},
		{"too long ago", 36 * day, true, false, "warning: was 36 days ago"},
		{"other keys", day, false, false, "warning: is sealed to others"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			key := fingerprintOf(h.key)
			old := key
			if !c.sameKey {
				old = fingerprintOf(newKey(t, 0))
			}
			ref := h.set(now.Add(-40*day), old)
			if newest := h.set(now.Add(-2*time.Hour), key); c.newest {
				ref = newest
			}
			if c.drill > 0 {
				h.drilled(ref, now.Add(-c.drill))
			}
			wants(t, h.only("drill"), c.want)
		})
	}
	wants(t, newHost(t).only("drill"), "unknown: there is no good set")
}
