package insight

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrMayNotEnd means that the role may not end sessions of others.
var ErrMayNotEnd = errors.New("the role may not end this session")

// Idle are the sessions of this database that have done nothing for so long, and
// what is spared although it is as idle, with the reason.
func (r ConnectionReport) Idle(now time.Time, longer time.Duration) (end []Client, spared []string) {
	for _, c := range r.Clients {
		if c.Database != r.Database || !strings.HasPrefix(c.State, "idle") || c.Changed == nil || now.Sub(*c.Changed) < longer {
			continue
		}
		switch {
		case c.Own:
			spared = append(spared, fmt.Sprintf("session %d is one of forgectl", c.PID))
		case c.Superuser:
			spared = append(spared, fmt.Sprintf("session %d is one of the superuser %s", c.PID, c.User))
		default:
			end = append(end, c)
		}
	}
	return end, spared
}

// Terminate ends a session if it is still the one that was planned, and has not
// done anything since. It reports whether it ended it.
func (s *Session) Terminate(ctx context.Context, c Client) (bool, error) {
	var ended bool
	err := s.conn.QueryRow(ctx, `SELECT coalesce(bool_or(pg_catalog.pg_terminate_backend(a.pid)), false) FROM pg_catalog.pg_stat_activity a
		WHERE a.pid = $1 AND a.backend_start = $2 AND a.state_change = $3 AND a.state LIKE 'idle%' AND a.backend_type = 'client backend'
			AND a.pid <> pg_catalog.pg_backend_pid()`, c.PID, c.Started, c.Changed).Scan(&ended)
	var server *pgconn.PgError
	if errors.As(err, &server) && server.Code == "42501" {
		return false, fmt.Errorf("end session %d of %s: %w", c.PID, c.User, ErrMayNotEnd)
	}
	if err != nil {
		return false, fmt.Errorf("end session %d of %s: %w", c.PID, c.User, err)
	}
	return ended, nil
}
