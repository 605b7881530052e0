package maintain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Outcome is what became of a table.
type Outcome string

// The outcomes.
const (
	Done        Outcome = "done"
	Gone        Outcome = "gone"        // dropped meanwhile: there is nothing left to do
	Skipped     Outcome = "skipped"     // busy, not allowed, no room, no time
	Failed      Outcome = "failed"      // tried, and it went wrong
	Interrupted Outcome = "interrupted" // stopped in the middle; Why says what that means
	NotStarted  Outcome = "not started"
)

// note keeps what came of one attempt; true when the table was busy.
func (r *run) note(ctx context.Context, s *session, item Item, took time.Duration, warnings []*pgconn.Notice, err error) (again bool) {
	result := TableResult{Item: item, Outcome: Done, Seconds: took.Seconds()}
	for _, w := range warnings {
		switch w.Code {
		case lockNotAvailable:
			again = true
			result.Outcome, result.Why = Skipped, (&BusyError{Holders: holders(ctx, s.conn, item.OID)}).Error()
		case undefinedTable:
			result.Outcome, result.Why = Gone, wasDropped
		default:
			result.Warnings = append(result.Warnings, w.Message)
		}
	}
	if err == nil && len(result.Warnings) > 0 && r.notAllowed(ctx, s, &result) {
		result.Warnings = nil
	}
	if err != nil {
		again = r.explain(ctx, s, &result, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if before := r.results[item.OID]; before != nil {
		result.Seconds += before.Seconds
	}
	r.results[item.OID] = &result
	return again
}

// notAllowed looks whether the role may do it after all: a server that leaves a
// table for that reason only says so in a warning, in its own language.
func (r *run) notAllowed(ctx context.Context, s *session, result *TableResult) bool {
	tables, err := readTables(ctx, s.conn, r.plan.Server.Version, []int64{int64(result.OID)})
	if err != nil {
		return false
	}
	for _, t := range tables {
		if t.OID != result.OID {
			continue
		}
		why, remedy := unable(t, r.o)
		if why == "" {
			return false
		}
		result.Outcome, result.Why, result.Remedy = Skipped, why, remedy
		return true
	}
	return false
}

// explain sorts an error; true when the table was busy.
func (r *run) explain(ctx context.Context, s *session, result *TableResult, err error) (again bool) {
	result.Outcome, result.Why = Skipped, err.Error()
	switch b := busy(err); {
	case ctx.Err() != nil:
		result.Outcome, result.Why = Interrupted, stopped(result.Action, r.o.Blocking)
		if errors.Is(context.Cause(ctx), errWindowOver) {
			result.Why = "the window is over; " + result.Why
		}
	case b != nil:
		result.Why = b.Error()
		return !b.Transaction // who did not end in all that time will not now
	case code(err) == lockNotAvailable, code(err) == "40P01":
		result.Why = (&BusyError{Holders: holders(ctx, s.conn, result.OID)}).Error()
		return true
	case errors.Is(err, errNoSpace):
		return true // others may be done by then
	case gone(ctx, s, result.OID):
		result.Outcome, result.Why = Gone, wasDropped
	case code(err) == "42501" && r.notAllowed(ctx, s, result):
	default:
		result.Outcome = Failed
	}
	return false
}

const wasDropped = "it was dropped meanwhile"

// gone reports whether a table is there no more. The code of an error does not
// tell: a function of an index can miss a table too.
func gone(ctx context.Context, s *session, table uint32) bool {
	var exists bool
	err := s.conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = $1::oid)`, int64(table)).Scan(&exists)
	return err == nil && !exists
}

// stopped says what it means that an action was stopped in the middle.
func stopped(action Action, blocking bool) string {
	switch {
	case action == Full:
		return "rolled back, it is as before"
	case action == Reindex && blocking:
		return "indexes that were done are new, the others are as before"
	case action == Reindex:
		return "indexes that were done are new, the others are as before; what was half built is removed unless it is named"
	case action == Analyze:
		return "its statistics are as before"
	}
	return "what was cleaned stays so; the rest is as before"
}

func skippedText(t TableResult) string {
	text := fmt.Sprintf("%s of %s: %s: %s", t.Action, t.Name(), t.Outcome, t.Why)
	if t.Remedy != "" {
		text += "\n" + t.Remedy
	}
	return text
}
