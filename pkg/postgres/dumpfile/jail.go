package dumpfile

import (
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// rolePrefix is how temporary roles are called; what follows is random.
const rolePrefix = "forgectl_load_"

// loginFor bounds how long after its making a role can log in with its password: a leftover of a kill is of no use.
const loginFor = 10 * time.Minute

var (
	// ErrNoLogin means that the temporary role cannot log in.
	ErrNoLogin = errors.New("no login for a temporary role")
	// ErrOwner means that what is loaded would belong to a superuser.
	ErrOwner = errors.New("what is loaded must not belong to a superuser")
)

// jail is a temporary role that can do nothing but fill one database.
type jail struct {
	admin    *postgres.Endpoint
	role     string
	owner    string // of what is loaded, in the end
	public   string // owner of schema public; "" when there is none
	super    bool   // the administrator
	endpoint *postgres.Endpoint
}

// newJail makes the role and finds out how it can log in. nil without an error: the administrator is an ordinary role.
func newJail(ctx context.Context, o LoadOptions) (*jail, error) {
	conn, err := admin(ctx, o.Endpoint)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var creates bool
	j := &jail{admin: o.Endpoint, role: rolePrefix + strings.ToLower(rand.Text())[:16], owner: o.AsRole}
	err = conn.QueryRow(ctx, `SELECT rolsuper, rolcreaterole FROM pg_catalog.pg_roles WHERE rolname = current_user`).Scan(&j.super, &creates)
	if err != nil {
		return nil, fmt.Errorf("ask for rights: %w", err)
	}
	if !j.super && !creates {
		if o.AsRole != "" && o.AsRole != o.Endpoint.User() {
			return nil, fmt.Errorf("role %s cannot give things to role %s", postgres.QuoteIdent(o.Endpoint.User()), postgres.QuoteIdent(o.AsRole))
		}
		return nil, nil
	}
	if err := j.facts(ctx, conn); err != nil {
		return nil, err
	}
	sweep(ctx, conn)
	password := rand.Text()
	if err := j.make(ctx, conn, password); err != nil {
		return nil, fmt.Errorf("make temporary role: %w", err)
	}
	if j.endpoint, err = j.login(ctx, password); err != nil {
		return nil, errors.Join(err, j.close(ctx))
	}
	return j, nil
}

// admin opens a session in the database to be loaded. Once that is loaded, names in it may be traps.
func admin(ctx context.Context, e *postgres.Endpoint) (*pgx.Conn, error) {
	conn, err := e.Connect(ctx)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{"SET search_path = pg_catalog", "SET lock_timeout = 0", "SET statement_timeout = 0", "SET default_transaction_read_only = off"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
			return nil, fmt.Errorf("%s: %w", sql, err)
		}
	}
	return conn, nil
}

// facts are who owns what before the load.
func (j *jail) facts(ctx context.Context, conn *pgx.Conn) error {
	var owner string
	err := conn.QueryRow(ctx, `SELECT pg_get_userbyid(datdba)::text,
		coalesce((SELECT pg_get_userbyid(nspowner)::text FROM pg_catalog.pg_namespace WHERE nspname = 'public'), '')
		FROM pg_catalog.pg_database WHERE datname = current_database()`).Scan(&owner, &j.public)
	if err != nil {
		return fmt.Errorf("ask for owners: %w", err)
	}
	if j.owner == "" {
		j.owner = owner
	}
	var super bool
	err = conn.QueryRow(ctx, `SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = $1`, j.owner).Scan(&super)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return &pgdump.MissingError{Roles: []string{j.owner}}
	case err != nil:
		return fmt.Errorf("ask for role: %w", err)
	case super:
		return fmt.Errorf("%w, as role %s is: name another role", ErrOwner, postgres.QuoteIdent(j.owner))
	}
	return nil
}

// make creates the role, with the right to create in this database and in schema public. It does not own the database: so
// it can neither rename nor configure it.
func (j *jail) make(ctx context.Context, conn *pgx.Conn, password string) error {
	verifier, err := scramVerifier(password)
	if err != nil {
		return err
	}
	var until string // by the server's clock
	if err := conn.QueryRow(ctx, "SELECT (now() + $1::interval)::text", loginFor.String()).Scan(&until); err != nil {
		return err
	}
	role := postgres.QuoteIdent(j.role)
	statements := []string{
		// The password itself would be in the server's log where statements are logged.
		fmt.Sprintf("CREATE ROLE %s LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 3 PASSWORD %s VALID UNTIL %s",
			role, postgres.QuoteLiteral(verifier), postgres.QuoteLiteral(until)),
		fmt.Sprintf("GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %s TO %s", postgres.QuoteIdent(j.admin.Database()), role),
	}
	if !j.super {
		statements = append(statements, fmt.Sprintf("GRANT %s TO CURRENT_USER", role))
	}
	if j.public != "" {
		statements = append(statements, "ALTER SCHEMA public OWNER TO "+role)
	}
	return together(ctx, conn, statements...)
}

// together runs all of them or none.
func together(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range statements {
			if _, err := tx.Exec(ctx, sql); err != nil {
				what, _, _ := strings.Cut(sql, " PASSWORD ")
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		return nil
	})
}

// login finds an address at which the server takes the role's password. That the login succeeds proves that it is the
// same server: no other knows the role.
func (j *jail) login(ctx context.Context, password string) (*postgres.Endpoint, error) {
	params, err := postgres.ParseConninfo(j.admin.Conninfo())
	if err != nil {
		return nil, err
	}
	params = params.Without("options", "service", "fallback_application_name").With("user", j.role)
	hosts := []string{params["host"]}
	if j.admin.Socket() {
		hosts = append(hosts, "127.0.0.1", "::1")
	}
	var why []string
	for _, host := range hosts {
		e, err := postgres.Resolve(ctx, postgres.Target{URL: params.With("host", host).String(), Password: password, Environ: j.admin.Environ()})
		if err != nil {
			return nil, err
		}
		conn, err := e.Connect(ctx)
		if err == nil {
			err = ordinary(ctx, conn, j.role)
			_ = conn.Close(context.WithoutCancel(ctx))
			return e, err
		}
		if cause := context.Cause(ctx); cause != nil {
			return nil, cause
		}
		why = append(why, err.Error())
	}
	return nil, fmt.Errorf("%w, which an untrusted dump is loaded as: let pg_hba.conf take passwords (scram-sha-256) on the socket or at 127.0.0.1: %s", ErrNoLogin, strings.Join(why, "; "))
}

// ordinary makes sure of what all depends on.
func ordinary(ctx context.Context, conn *pgx.Conn, role string) error {
	var session, current string
	var super bool
	err := conn.QueryRow(ctx, `SELECT session_user::text, current_user::text, (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user)`).Scan(&session, &current, &super)
	if err == nil && (session != role || current != role || super) {
		err = fmt.Errorf("the server made it a session of %s", postgres.QuoteIdent(session))
	}
	if err != nil {
		return fmt.Errorf("log in as temporary role: %w", err)
	}
	return nil
}

// closeTimeout is for giving away what was loaded.
const closeTimeout = 5 * time.Minute

// close ends the role's sessions, gives what it made to the owner, and drops the role. It does so even when ctx has ended.
func (j *jail) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	err := j.dissolve(ctx)
	if err != nil {
		return fmt.Errorf("drop temporary role %s: %w", j.role, err)
	}
	return nil
}

func (j *jail) dissolve(ctx context.Context) error {
	conn, err := admin(ctx, j.admin)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if err := j.endSessions(ctx, conn); err != nil {
		return err
	}
	role := postgres.QuoteIdent(j.role)
	var statements []string
	if j.public != "" {
		var exists bool
		if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'public')").Scan(&exists); err != nil {
			return err
		}
		if exists {
			statements = append(statements, "ALTER SCHEMA public OWNER TO "+postgres.QuoteIdent(j.public))
		}
	}
	// After an error too: to drop many large objects in one transaction takes more locks than a server has, to give them
	// away takes none. What is dropped is the role's privileges.
	statements = append(statements, "REASSIGN OWNED BY "+role+" TO "+postgres.QuoteIdent(j.owner), "DROP OWNED BY "+role, "DROP ROLE "+role)
	return together(ctx, conn, statements...)
}

// endSessions: a server goes on with the statement of a client that is gone.
func (j *jail) endSessions(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.Exec(ctx, "ALTER ROLE "+postgres.QuoteIdent(j.role)+" NOLOGIN"); err != nil {
		return err
	}
	for {
		var left int
		err := conn.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity WHERE usename = $1`, j.role).Scan(&left)
		if err != nil {
			return err
		}
		if left == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// sweep drops temporary roles of runs that were killed, as far as they own nothing any more. Nothing depends on it.
func sweep(ctx context.Context, conn *pgx.Conn) {
	rows, err := conn.Query(ctx, `SELECT rolname::text FROM pg_catalog.pg_roles r WHERE rolname LIKE $1 AND rolvaliduntil < now()
		AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.usename = r.rolname)`, strings.ReplaceAll(rolePrefix, "_", `\_`)+"%")
	if err != nil {
		return
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return
	}
	for _, name := range names {
		_, _ = conn.Exec(ctx, "DROP ROLE "+postgres.QuoteIdent(name))
	}
}

// scramVerifier is what a server keeps of a password (RFC 5803).
func scramVerifier(password string) (string, error) {
	const rounds = 4096
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := func(text string) []byte {
		h := hmac.New(sha256.New, salted)
		_, _ = h.Write([]byte(text))
		return h.Sum(nil)
	}
	stored := sha256.Sum256(mac("Client Key"))
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$%d:%s$%s:%s", rounds, b64(salt), b64(stored[:]), b64(mac("Server Key"))), nil
}
