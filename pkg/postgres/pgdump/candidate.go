package pgdump

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// ErrExists means that a database of that name is there already.
var ErrExists = errors.New("database exists already")

// Candidate is a database that this program made and may drop again. It is
// loaded under a working name and gets its own only when it is complete.
type Candidate struct {
	Admin *postgres.Endpoint // another database of the same server; a role that may create databases
	Name  string
}

// Endpoint reaches the candidate.
func (c Candidate) Endpoint() *postgres.Endpoint { return c.Admin.WithDatabase(c.Name) }

// Create makes an empty database with the locale and encoding of p. note is
// kept as its comment, so that a candidate left by a kill can be recognised.
// When Create fails, nothing is left.
func (c Candidate) Create(ctx context.Context, p Properties, note string) error {
	return c.do(ctx, func(conn *pgx.Conn) error {
		server, err := postgres.Facts(ctx, conn)
		if err != nil {
			return err
		}
		backend, err := postgres.BackendOf(ctx, conn)
		if err != nil {
			return err
		}
		// The server finishes a CREATE DATABASE of a client that has hung up. So its
		// end is waited for, even when the run has been told to end, and then undone.
		once, cancel := seenThrough(ctx, createTimeout)
		defer cancel()
		create := p.Create(c.Name, server.Version)
		if p.Owner != "" {
			// Owners of tables need a right on the schema public that, before the
			// privileges are loaded, only the owner of the database has.
			create += " OWNER " + postgres.QuoteIdent(p.Owner)
		}
		if _, err := conn.Exec(once, create); err != nil {
			if errorCode(err) == "42P04" { // duplicate_database
				return fmt.Errorf("create %s: %w", c.Name, ErrExists)
			}
			err = fmt.Errorf("create %s: %w", c.Name, reason(once, err))
			if conn.IsClosed() {
				err = errors.Join(err, c.uncreate(ctx, backend))
			}
			return err
		}
		_, err = conn.Exec(once, "COMMENT ON DATABASE "+postgres.QuoteIdent(c.Name)+" IS "+postgres.QuoteLiteral(note))
		err = reason(once, err)
		if err == nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = c.hasten(ctx, conn)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("prepare %s: %w", c.Name, err), c.Drop(ctx))
		}
		return nil
	})
}

// uncreate drops what a lost session may have created. Nobody has marked that yet,
// which tells it from one that another run made under this name and marked.
func (c Candidate) uncreate(ctx context.Context, backend postgres.Backend) error {
	err := backend.End(ctx, c.Admin)
	if err == nil {
		var made bool
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
		defer cancel()
		err = c.do(limited, func(conn *pgx.Conn) error {
			return conn.QueryRow(limited, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1 AND shobj_description(oid, 'pg_database') IS NULL)", c.Name).Scan(&made)
		})
		if err == nil && !made {
			return nil
		}
	}
	if err == nil {
		err = c.Drop(ctx)
	}
	if err != nil {
		return fmt.Errorf("it may be there all the same, empty; drop it: %w", err)
	}
	return nil
}

// createTimeout is for a copy of an empty database.
const createTimeout = 2 * time.Minute

// graceTime is how long a statement that is seen through still has when the run
// has been told to end. The server answers within that, or not at all.
const graceTime = 30 * time.Second

// seenThrough is a context for what the server has begun, and finishes whether
// anybody waits or not: it goes on when ctx ends, but not for ever.
func seenThrough(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	until, end := context.WithCancelCause(context.WithoutCancel(ctx))
	until, cancel := context.WithTimeoutCause(until, limit, fmt.Errorf("no answer from the server within %s", limit))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-until.Done():
		case <-time.After(graceTime):
			end(context.Cause(ctx))
		}
	})
	return until, func() { stop(); cancel(); end(nil) }
}

// reason is why ctx has ended, if that is what err comes from.
func reason(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// finishTime bounds Finish.
const finishTime = 5 * time.Minute

// Finish gives the loaded candidate the rest of p and its final name, in one
// transaction: nobody sees the name before everything is in place. With its own
// name it stays a candidate, and keeps its mark in place of the comment.
//
// What was begun is seen through although ctx ends, so that the answer is true: a
// server goes on with a commit that nobody waits for any more, and the database
// would have its name after the run has said that it failed.
func (c Candidate) Finish(ctx context.Context, p Properties, name string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := seenThrough(ctx, finishTime)
	defer cancel()
	return c.do(ctx, func(conn *pgx.Conn) error {
		backend, err := postgres.BackendOf(ctx, conn)
		var oid uint32
		if err == nil {
			err = conn.QueryRow(ctx, "SELECT oid FROM pg_catalog.pg_database WHERE datname = $1", c.Name).Scan(&oid)
		}
		if err == nil {
			err = reason(ctx, c.finish(ctx, conn, p, name))
		}
		switch {
		case err == nil || errors.Is(err, ErrExists):
			return err
		case !conn.IsClosed():
			return fmt.Errorf("finish %s: %w", c.Name, err)
		}
		// Until its session is gone the server keeps a lock on it, and may still commit.
		err = fmt.Errorf("finish %s: %w", c.Name, err)
		if endErr := backend.End(ctx, c.Admin); endErr != nil {
			return fmt.Errorf("%w; it may be there as %s all the same: %w", err, name, endErr)
		}
		if name != c.Name && c.isNow(ctx, oid, name) {
			return nil
		}
		return err
	})
}

// isNow reports whether the database with that OID has that name.
func (c Candidate) isNow(ctx context.Context, oid uint32, name string) (is bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	err := c.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE oid = $1 AND datname = $2)", oid, name).Scan(&is)
	})
	return err == nil && is
}

func (c Candidate) finish(ctx context.Context, conn *pgx.Conn, p Properties, name string) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	if err := c.unhasten(ctx, tx); err != nil {
		return err
	}
	var statements []string
	if name == c.Name {
		p.Comment = ""
	} else {
		statements = append(statements, "COMMENT ON DATABASE "+postgres.QuoteIdent(c.Name)+" IS NULL")
	}
	statements = append(statements, p.After(c.Name)...)
	if name != c.Name {
		statements = append(statements, "ALTER DATABASE "+postgres.QuoteIdent(c.Name)+" RENAME TO "+postgres.QuoteIdent(name))
	}
	for _, sql := range statements {
		if _, err := tx.Exec(ctx, sql); err != nil {
			if errorCode(err) == "42P04" {
				return fmt.Errorf("rename %s to %s: %w", c.Name, name, ErrExists)
			}
			what, _, _ := strings.Cut(sql, settingTo) // the value of a setting may be a secret
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return tx.Commit(ctx)
}

// Drop removes the candidate, even when ctx has ended, ending its sessions.
func (c Candidate) Drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), dropTimeout, fmt.Errorf("no answer from the server within %s", dropTimeout))
	defer cancel()
	return c.do(ctx, func(conn *pgx.Conn) error {
		force := ""
		if server, err := postgres.Facts(ctx, conn); err == nil && server.Version.Major() >= 13 {
			force = " WITH (FORCE)"
		}
		drop := "DROP DATABASE IF EXISTS " + postgres.QuoteIdent(c.Name) + force
		_, err := conn.Exec(ctx, drop)
		if errorCode(err) == "55006" { // object_in_use: it has subscriptions, perhaps
			if err := c.unsubscribe(ctx); err != nil {
				return fmt.Errorf("drop %s: %w", c.Name, err)
			}
			_, err = conn.Exec(ctx, drop)
		}
		if err != nil {
			return fmt.Errorf("drop %s: %w", c.Name, reason(ctx, err))
		}
		return nil
	})
}

// dropTimeout is for a database that nobody is to use.
const dropTimeout = 30 * time.Second

// unsubscribe drops the candidate's subscriptions. They came from the archive,
// have never been enabled, and the slot that they name at the publisher belongs
// to the original: it must not be dropped with them.
func (c Candidate) unsubscribe(ctx context.Context) error {
	conn, err := c.Endpoint().ConnectPatient(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	names, err := collectStrings(ctx, conn, `SELECT quote_ident(subname) FROM pg_catalog.pg_subscription
		WHERE subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())`, nil)
	if err != nil {
		return fmt.Errorf("list subscriptions: %w", err)
	}
	for _, name := range names {
		for _, sql := range []string{"ALTER SUBSCRIPTION " + name + " SET (slot_name = NONE)", "DROP SUBSCRIPTION " + name} {
			if _, err := conn.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
	}
	return nil
}

// Empty drops everything in the candidate, which gives its space back at once. On
// a full disk that has to come before Drop: DROP DATABASE makes the server write
// a checkpoint, and a server that cannot write one ends, with all its databases.
func (c Candidate) Empty(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	conn, err := c.Endpoint().ConnectPatient(ctx)
	if err != nil {
		return fmt.Errorf("empty %s: %w", c.Name, err)
	}
	defer func() { _ = conn.Close(ctx) }()
	schemas, err := collectStrings(ctx, conn, `SELECT quote_ident(nspname) FROM pg_catalog.pg_namespace
		WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'`, nil)
	if err != nil {
		return fmt.Errorf("empty %s: %w", c.Name, err)
	}
	for _, schema := range schemas {
		if _, err := conn.Exec(ctx, "DROP SCHEMA "+schema+" CASCADE"); err != nil {
			return fmt.Errorf("empty %s: %w", c.Name, err)
		}
	}
	return nil
}

// DiskFull reports whether err is the server's complaint that its disk is full,
// by itself or through one of its client programs.
func DiskFull(err error) bool {
	if errorCode(err) == "53100" { // disk_full
		return true
	}
	var failed *proc.Error
	return errors.As(err, &failed) && strings.Contains(strings.Join(failed.Stderr, "\n"), "No space left on device")
}

// Exists reports whether a database of that name is there.
func Exists(ctx context.Context, admin *postgres.Endpoint, name string) (bool, error) {
	var exists bool
	err := Candidate{Admin: admin}.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = $1)", name).Scan(&exists)
	})
	if err != nil {
		return false, fmt.Errorf("look for database %s: %w", name, err)
	}
	return exists, nil
}

func (c Candidate) do(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := c.Admin.ConnectPatient(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return f(conn)
}
