package doctor

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// Promise: where everything is well nothing asks for attention, and every check
// has said something.
func TestAllIsWell(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.server(scratchtest.Middling, "ALTER ROLE CURRENT_USER SET lo_compat_privileges = on")
	h.Backup = h.Admin
	h.Database = "postgres" // the role is the superuser, and reads all
	ref := h.set(now.Add(-time.Hour), fingerprintOf(h.key))
	h.drilled(ref, now)
	h.SecretKeyFiles = []string{h.writeKey("key.sec", h.key, true)}
	h.Config = []Finding{{Level: OK, Message: "fine"}}
	all, err := Run(t.Context(), h.Options)
	if err != nil {
		t.Fatal(err)
	}
	if worst := Worst(all); worst != Info {
		t.Errorf("worst is %s, want info", worst)
		wants(t, all)
	}
	for _, c := range checks() {
		if !slices.ContainsFunc(all, func(f Finding) bool { return f.Check == c.name && f.Message != "" }) {
			t.Errorf("check %q has nothing to say", c.name)
		}
	}
}

// Promise: what cannot be looked at is unknown, with the reason, and stops
// nothing; why the server cannot be asked is said once, as what it means for the
// night.
func TestNothingCanBeAsked(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.Backup = func(context.Context) (*postgres.Endpoint, error) {
		return postgres.Resolve(context.Background(), postgres.Target{URL: "postgres://u@/d?host=" + h.dir})
	}
	h.Admin = h.Backup
	h.Catalog = func(context.Context) (*catalog.Catalog, error) { return nil, errors.New("no repository") }
	all, err := Run(t.Context(), h.Options)
	if err != nil {
		t.Fatal(err)
	}
	levels := map[string]Level{}
	for _, f := range all {
		if f.Level.severity() > levels[f.Check].severity() || levels[f.Check] == "" {
			levels[f.Check] = f.Level
		}
	}
	for check, want := range map[string]Level{
		"server": Critical, "tools": Unknown, "rights": Unknown, "restores": Unknown, "sets": Unknown, "drill": Unknown, "space": Unknown, "leftovers": Unknown, "clock": Unknown,
		"keys": OK, "schedule": OK, "files": OK, "units": OK, "state": OK,
	} {
		if levels[check] != want {
			t.Errorf("check %q: %s, want %s", check, levels[check], want)
		}
	}
	wants(t, h.only("server"), "critical: connect to u@"+h.dir+":5432/d: | pg_lsclusters")
	wants(t, h.only("sets"), "unknown: no repository")
}

// Promise: whoever hands in nothing is told so by each check, and nothing breaks.
func TestNothingGiven(t *testing.T) {
	t.Parallel()
	all, err := Run(t.Context(), Options{Cron: Cron{Root: t.TempDir()}})
	if err != nil {
		t.Fatal(err)
	}
	for _, check := range []string{"server", "restores", "keys", "sets", "units"} {
		if !slices.ContainsFunc(all, func(f Finding) bool { return f.Check == check && f.Level == Unknown }) {
			t.Errorf("check %q is not unknown", check)
		}
	}
}

// Promise: a server that does not answer costs one check its time, and the others
// go on; the end of the whole run is an error.
func TestLimit(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.Limit = 50 * time.Millisecond
	asked := 0
	h.Backup = func(ctx context.Context) (*postgres.Endpoint, error) {
		asked++
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	all, err := Run(t.Context(), h.Options)
	if err != nil || asked != 1 {
		t.Fatalf("%v; asked %d times", err, asked)
	}
	wants(t, slices.DeleteFunc(slices.Clone(all), func(f Finding) bool { return f.Check != "server" }), "critical: no answer within 50ms")
	if !slices.ContainsFunc(all, func(f Finding) bool { return f.Check == "schedule" && f.Level == OK }) {
		t.Error("the checks after it were not made")
	}

	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	h.Limit = time.Hour
	h.Backup = func(context.Context) (*postgres.Endpoint, error) { cancel(stop); return nil, stop }
	if _, err := Run(ctx, h.Options); !errors.Is(err, stop) {
		t.Errorf("error %v, want the cause of the end", err)
	}
}

// Promise: damage that was seen weighs more than what could not be looked at.
func TestOrder(t *testing.T) {
	t.Parallel()
	all := []Finding{{Level: OK}, {Level: Unknown}, {Level: Info}, {Level: Critical, Check: "a"}, {Level: Warning}, {Level: Critical, Check: "b"}}
	if Worst(all) != Critical || Worst(all[:3]) != Unknown || Worst(nil) != OK {
		t.Error("the worst is not the worst")
	}
	Sort(all)
	var got []Level
	for _, f := range all {
		got = append(got, f.Level)
	}
	if !slices.Equal(got, []Level{Critical, Critical, Unknown, Warning, Info, OK}) || all[0].Check != "a" {
		t.Errorf("order %v", got)
	}
}

// Promise: programs are compared with the server, and the remedy installs the
// version that is missing.
func TestTools(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.server()
	wants(t, h.only("tools"), "ok: pg_dump 15", "ok: pg_dumpall 15", "ok: pg_restore 15", "ok: postgres 15")
	for _, program := range []string{"pg_dump", "pg_dumpall", "pg_restore"} {
		h.write("old/"+program, "#!/bin/sh\necho '"+program+" (PostgreSQL) 11.2'\n", 0o755)
	}
	h.Finder.Debian, h.Finder.Path = filepath.Join(h.dir, "nowhere"), filepath.Join(h.dir, "old")
	wants(t, h.only("tools"), "critical: only 11.2 is installed, which is older | apt-get install postgresql-client-15",
		"critical: pg_dumpall", "critical: for restores and drills", "info: none is installed | apt-get install postgresql-15")
}
