package restore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// hasty is a role that may do everything, but nothing that takes half a second.
func hasty(t testing.TB) string {
	t.Helper()
	admin := scratchtest.Admin(t)
	role := scratchtest.Role(t, admin, "LOGIN SUPERUSER")
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"} {
		scratchtest.Exec(t, admin, "ALTER ROLE "+role+" SET "+name+" = '500ms'")
	}
	return role
}

// Promise: timeouts that the role carries, or that the server has for everybody, do
// not end the statements of a restore that take long: here a sample for the
// statistics.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, `CREATE FUNCTION slow(i int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.02); RETURN i; END';
		CREATE TABLE sampled AS SELECT i FROM generate_series(1, 50) i; CREATE INDEX ON sampled (slow(i))`)
	c := catalogtest.Open(t, t.TempDir())
	set := save(t, c, e, nil)
	o := options(t, c, set, scratchtest.Name("hasty"))
	o.Admin = scratchtest.Connect(t, scratchtest.Server(t), "postgres", hasty(t))
	_, err := restore.Into(t.Context(), o)
	must(t, err)
	if there, err := pgdump.Exists(t.Context(), o.Admin, o.Into); err != nil || !there {
		t.Errorf("there: %v, %v", there, err)
	}
	scratchtest.Exec(t, scratchtest.Admin(t), "DROP DATABASE "+o.Into)
}

// Promise: nor do they end the session that keeps other exchanges away while the
// units are being stopped.
func TestTimeoutsOfExchange(t *testing.T) {
	t.Parallel()
	role := hasty(t)
	s := newService(t, scratchtest.Name("hold"))
	s.o.Admin = scratchtest.Connect(t, scratchtest.Server(t), "postgres", role)
	other := s.o
	other.Intents = restore.Intents{Dir: t.TempDir()}
	met := false
	s.o.Step = func(name string) {
		if name != "stopped" || met {
			return
		}
		met = true
		time.Sleep(time.Second) // longer than the timeout
		if _, err := restore.Replace(context.Background(), other); !errors.Is(err, restore.ErrElsewhere) {
			t.Errorf("a second exchange: %v", err)
		}
	}
	_, err := restore.Replace(t.Context(), s.o)
	must(t, err)
	if !met || s.is(s.live) != "restored" {
		t.Errorf("met %v; %s is %s", met, s.live, s.is(s.live))
	}
}
