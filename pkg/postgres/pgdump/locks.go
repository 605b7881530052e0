package pgdump

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// LocksError means that the server has no room for so many locks.
type LocksError struct{ Err error }

func (e *LocksError) Error() string {
	return "the server's table of locks is full: " + e.Err.Error()
}
func (e *LocksError) Unwrap() error { return e.Err }

// ConnectionsError means that the server had no connection left for a dump
// program. Our own sessions get a *postgres.ConnectError.
type ConnectionsError struct{ Err error }

func (e *ConnectionsError) Error() string {
	return "the server has no connection left: " + e.Err.Error()
}
func (e *ConnectionsError) Unwrap() error { return e.Err }

// Explain makes a ConflictError, a LocksError or a ConnectionsError of an error
// that was caused by one, seen by our own sessions or by a dump program. Any other
// it leaves as it is.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	if why, ok := conflict(err); ok {
		return &ConflictError{Why: why, Err: err}
	}
	if errorCode(err) == "53200" || stderrOf(err, "out of shared memory") >= 0 {
		return &LocksError{Err: err}
	}
	for _, full := range []string{"too many clients already", "connection slots are reserved", "too many connections for"} {
		if stderrOf(err, full) >= 0 {
			return &ConnectionsError{Err: err}
		}
	}
	return err
}

// stderrOf is where a program that failed said something, -1 if it did not.
func stderrOf(err error, text string) int {
	var failed *proc.Error
	if !errors.As(err, &failed) {
		return -1
	}
	for i, line := range failed.Stderr {
		if strings.Contains(line, text) {
			return i
		}
	}
	return -1
}

// LocksFit reports whether that many sessions can each hold a lock on every
// table at once. The server keeps all locks in one table of a fixed size, and
// others need some too.
func (g *Guard) LocksFit(ctx context.Context, sessions int) (bool, error) {
	conn, err := g.Session(ctx)
	if err != nil {
		return false, fmt.Errorf("ask for room for locks: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// NLOCKENTS in the server's lock.c; a lock that several hold counts for each in
	// another table, of twice the size.
	var room int64
	err = conn.QueryRow(ctx, `SELECT current_setting('max_locks_per_transaction')::bigint *
		(current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)`).Scan(&room)
	if err != nil {
		return false, fmt.Errorf("ask for room for locks: %w", err)
	}
	return int64(sessions)*int64(len(g.Relations)) <= room, nil
}
