package insight

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/remember"
)

// Options is where to look.
type Options struct {
	Endpoint *postgres.Endpoint
	Timeout  time.Duration  // of each statement; 0: 30 s
	Memory   remember.Store // a zero Dir: nothing is remembered
	Now      func() time.Time
}

// Session is a connection that reports are made over, one after the other.
type Session struct {
	o       Options
	conn    *pgx.Conn
	server  postgres.Server
	oid     uint32 // of the database
	monitor bool   // the role sees what others do
}

const defaultTimeout = 30 * time.Second

// lockWait is how long a report waits for a lock that nobody was seen to hold.
const lockWait = 2 * time.Second

// Open connects. The caller closes the session.
func Open(ctx context.Context, o Options) (*Session, error) {
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	conn, err := o.Endpoint.Connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &Session{o: o, conn: conn}
	err = s.reading(ctx, func(tx pgx.Tx) error {
		if s.server, err = postgres.FactsWithin(ctx, tx); err != nil {
			return err
		}
		return tx.QueryRow(ctx, `SELECT (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()),
			pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')`).Scan(&s.oid, &s.monitor)
	})
	if err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// cancelWait bounds how long Close waits until the server was told to stop.
const cancelWait = 3 * time.Second

// Close ends the connection. It does not fail. After an interruption the server is
// told so: else it would work on for nobody until the timeout.
func (s *Session) Close() error {
	_ = s.conn.Close(context.Background())
	select {
	case <-s.conn.PgConn().CleanupDone():
	case <-time.After(cancelWait):
	}
	return nil
}

// Head is what every report begins with.
type Head struct {
	Database string `json:"database"`
	Server   string `json:"server"` // its version
	Standby  bool   `json:"standby"`
	// Notes is what the report could not see, and what is to be known when it is read.
	Notes []string `json:"notes"`
}

func (h *Head) note(format string, args ...any) {
	h.Notes = append(h.Notes, fmt.Sprintf(format, args...))
}

func (s *Session) head() Head {
	h := Head{Database: s.o.Endpoint.Database(), Server: s.server.Version.String(), Standby: s.server.Standby, Notes: []string{}}
	if !s.monitor {
		h.note("role %s does not see what other roles do: GRANT pg_monitor TO %s", s.server.Role, postgres.QuoteIdent(s.server.Role))
	}
	return h
}

// reading does f in a transaction that changes nothing and waits for nobody for
// long. Behind a pooler too: the settings are those of the transaction.
func (s *Session) reading(ctx context.Context, f func(tx pgx.Tx) error) (err error) {
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	}()
	tx, err := s.conn.BeginTx(ctx, pgx.TxOptions{AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("begin to read: %w", err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	// Thousands of relations make a question look expensive that is not: compiling
	// it takes longer than the answer.
	_, err = tx.Exec(ctx, `SELECT pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('lock_timeout', $2, true), pg_catalog.set_config('jit', 'off', true)`,
		strconv.FormatInt(s.o.Timeout.Milliseconds(), 10), strconv.FormatInt(lockWait.Milliseconds(), 10))
	if err != nil {
		return fmt.Errorf("set the timeouts: %w", err)
	}
	return f(tx)
}

// subject is what is remembered of this database. A standby counts for itself.
func (s *Session) subject(name string) remember.Subject {
	server := s.server.SystemIdentifier
	if s.server.Standby && server != "" {
		server += "-standby"
	}
	return remember.Subject{Server: server, Database: remember.Database(s.oid, s.o.Endpoint.Database()), Name: name}
}

// recall is what is remembered; what cannot be read is a note.
func recall[T any](s *Session, h *Head, name string) []remember.Entry[T] {
	if s.o.Memory.Dir == "" {
		return nil
	}
	entries, notes, err := remember.Read[T](s.o.Memory, s.subject(name))
	if err != nil {
		notes = append(notes, err.Error())
	}
	h.Notes = append(h.Notes, notes...)
	return entries
}

// keep remembers one more; what cannot be written is a note. What was wrong with
// the file has been said when it was read.
func keep[T any](ctx context.Context, s *Session, h *Head, name string, k remember.Keep, data T) {
	if s.o.Memory.Dir == "" {
		return
	}
	if _, err := remember.Add(ctx, s.o.Memory, s.subject(name), k, s.o.Now(), data); err != nil {
		h.note("%v", err)
	}
}

// collect reads all rows into structs, by position.
func collect[T any](ctx context.Context, tx pgx.Tx, what, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err == nil {
		var list []T
		if list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T]); err == nil {
			return list, nil
		}
	}
	return nil, fmt.Errorf("ask for %s: %w", what, err)
}
