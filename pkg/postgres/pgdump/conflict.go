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

// conflict reports whether a standby's recovery is the cause of err, and what
// the server said of it.
func conflict(err error) (why string, ok bool) {
	var server *pgconn.PgError
	if errors.As(err, &server) && conflicts(server) {
		return server.Detail, true
	}
	at := stderrOf(err, conflictMessage)
	var failed *proc.Error
	if at < 0 || !errors.As(err, &failed) {
		return "", false
	}
	for _, line := range failed.Stderr[at:] {
		if _, detail, ok := strings.Cut(line, "DETAIL:"); ok {
			return strings.TrimSpace(detail), true
		}
	}
	return "", true
}

const conflictMessage = "due to conflict with recovery"

// conflicts judges by the message, and where that is in another language by the
// code and the place: only ProcessInterrupts raises a serialization failure in a
// session that reads.
func conflicts(e *pgconn.PgError) bool {
	return strings.Contains(e.Message, conflictMessage) || e.Code == "40001" && e.Routine == "ProcessInterrupts"
}
