package pgdump

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Promise: what a standby's recovery, or a full table of locks, has caused is
// told apart from everything else, whoever met it and in whichever language.
func TestExplain(t *testing.T) {
	program := func(lines ...string) error {
		return fmt.Errorf("dump data: %w", &proc.Error{Name: "pg_dump", ExitCode: 1, Stderr: lines})
	}
	const why = "User was holding a relation lock for too long."
	for _, c := range []struct {
		name string
		err  error
		as   any // nil: left as it is
		says string
	}{
		{"our session", fmt.Errorf("%w: %w", ErrGuardLost, &pgconn.PgError{Severity: "FATAL", Code: "40001", Message: "terminating connection due to conflict with recovery", Detail: why}), new(*ConflictError), "lock for too long)"},
		{"in another language", &pgconn.PgError{Code: "40001", Routine: "ProcessInterrupts", Message: "breche Anweisung wegen Konflikt mit der Wiederherstellung ab", Detail: "Benutzer hielt eine Sperre zu lange."}, new(*ConflictError), "(Benutzer hielt"},
		{"pg_dump", program("pg_dump: error: Dumping the contents of table \"t\" failed: PQgetResult() failed.", "pg_dump: detail: Error message from server: ERROR:  canceling statement due to conflict with recovery",
			"DETAIL:  "+why, "pg_dump: detail: Command was: COPY public.t (id) TO stdout;"), new(*ConflictError), "lock for too long)"},
		{"pg_dump, cut", program("pg_dump: error: query failed: ERROR:  canceling statement due to conflict with recovery"), new(*ConflictError), "recovery: dump data"},
		{"no room for locks", fmt.Errorf("lock: %w", &pgconn.PgError{Code: "53200", Message: "out of shared memory"}), new(*LocksError), "table of locks"},
		{"no room for pg_dump's", program("pg_dump: error: query failed: ERROR:  out of shared memory", "HINT:  You might need to increase max_locks_per_transaction."), new(*LocksError), "table of locks"},
		{"two writers", &pgconn.PgError{Code: "40001", Routine: "heap_update", Message: "could not serialize access"}, nil, "serialize"},
		{"something else", program("pg_dump: error: no such table"), nil, "dump data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Explain(c.err)
			if c.as == nil && got != c.err || c.as != nil && !errors.As(got, c.as) || !errors.Is(got, c.err) || !strings.Contains(got.Error(), c.says) {
				t.Errorf("got %v", got)
			}
			if _, ok := c.as.(**ConflictError); ok != errors.Is(got, ErrConflict) {
				t.Errorf("is a conflict: %v", !ok)
			}
		})
	}
	if err := Explain(nil); err != nil {
		t.Error(err)
	}
}
