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
	wants(t, h.only("sets"), "warning: "+bad.String()+" is not good: suspect: half the rows | forgectl backup accept "+bad.String()+" --reason TEXT", "ok: the newest good set")
}

// Promise: what was promised decides when a set is old, and when a restore is slow; an old suspect set, which keeps
// everything from being removed, does not hide behind a newer good one.
func TestPromises(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		age, rpo time.Duration
		want     string
	}{
		{27 * time.Hour, 48 * time.Hour, "ok: the newest good set"},
		{39 * time.Hour, 48 * time.Hour, "warning: is 39 hours old, and recovery.rpo promises 48h | forgectl history"},
		{49 * time.Hour, 48 * time.Hour, "critical: is 2 days old, and recovery.rpo promises 48h"},
		{61 * time.Minute, time.Hour, "critical: is 61 minutes old, and recovery.rpo promises 1h"},
	} {
		h := newHost(t)
		h.RPO = c.rpo
		h.set(now.Add(-c.age), fingerprintOf(h.key))
		wants(t, h.only("sets"), c.want)
	}
	for _, c := range []struct {
		rto  time.Duration
		want []string
	}{
		{0, []string{"ok: opened the newest set"}},
		{time.Hour, []string{"ok: opened the newest set"}},
		{12 * time.Minute, []string{"warning: would take 10m by its drill, which comes near the 12m that recovery.rto promises", "ok: opened the newest set"}},
		{5 * time.Minute, []string{"critical: would take 10m by its drill, and recovery.rto promises 5m; the set itself is good | forgectl config show recovery", "ok: opened the newest set"}},
	} {
		h := newHost(t)
		h.RTO = c.rto
		ref := h.set(now.Add(-time.Hour), fingerprintOf(h.key))
		drill := catalog.Check{Time: now, What: catalog.CheckVerify, Level: catalog.LevelDrill, OK: true, Stages: []catalog.Stage{{Name: "start server", Seconds: 1000}, {Name: "data", Seconds: 600}}}
		if err := h.catalog(now).AddCheck(t.Context(), ref, drill); err != nil {
			t.Fatal(err)
		}
		wants(t, h.only("drill"), c.want...)
	}
	h := newHost(t)
	doubt := h.set(now.Add(-2*time.Hour), fingerprintOf(h.key))
	h.set(now.Add(-time.Hour), fingerprintOf(h.key))
	if err := h.catalog(now).AddCheck(t.Context(), doubt, catalog.Check{What: catalog.CheckSuspect, Reason: "half the rows"}); err != nil {
		t.Fatal(err)
	}
	wants(t, h.only("sets"), "warning: no set is removed as long as "+doubt.String()+" is suspect: half the rows | forgectl backup accept", "ok: the newest good set")
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
