package pgdump

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// ErrConflict is what every ConflictError is.
var ErrConflict = errors.New("the standby canceled the dump to go on with recovery")

// ConflictError means that a standby had to choose between us and what its
// primary sent: rows that we still needed were vacuumed there, or a table that
// we held was altered.
type ConflictError struct {
	Why string // the server's words: "User query might have needed to see row versions that must be removed."
	Err error
}

func (e *ConflictError) Error() string {
	s := ErrConflict.Error()
	if e.Why != "" {
		s += " (" + strings.TrimSuffix(e.Why, ".") + ")"
	}
	return s + ": " + e.Err.Error()
}

// Is makes errors.Is(err, ErrConflict) true.
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }
func (e *ConflictError) Unwrap() error        { return e.Err }

// Hint names the settings that decide.
func (e *ConflictError) Hint() string {
	return "on the standby set hot_standby_feedback = on (the primary then keeps rows that a dump needs), or max_standby_streaming_delay and max_standby_archive_delay longer than a dump takes; or back up the primary"
}

// AsConflict makes a ConflictError of an error that a standby's recovery is the
// cause of, seen by our own sessions or by one of the dump programs. Any other it
// leaves as it is.
func AsConflict(err error) error {
	var server *pgconn.PgError
	if errors.As(err, &server) && conflicts(server) {
		return &ConflictError{Why: server.Detail, Err: err}
	}
	var failed *proc.Error
	if !errors.As(err, &failed) {
		return err
	}
	found, why := false, ""
	for _, line := range failed.Stderr {
		if strings.Contains(line, conflictMessage) {
			found = true
		}
		if _, detail, ok := strings.Cut(line, "DETAIL:"); ok && found && why == "" {
			why = strings.TrimSpace(detail)
		}
	}
	if found {
		return &ConflictError{Why: why, Err: err}
	}
	return err
}

const conflictMessage = "due to conflict with recovery"

// conflicts judges by the message, and where that is in another language by the
// code and the place: only ProcessInterrupts raises a serialization failure in a
// session that reads.
func conflicts(e *pgconn.PgError) bool {
	return strings.Contains(e.Message, conflictMessage) || e.Code == "40001" && e.Routine == "ProcessInterrupts"
}
