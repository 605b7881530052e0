package pgdump

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Role is a role of the dumped server, as the head of 00-globals.sql lists it.
type Role struct {
	Name  string `json:"name"`
	Login bool   `json:"login,omitempty"`
	// Superuser matters to a drill: event triggers and foreign data wrappers can only belong to one.
	Superuser bool `json:"superuser,omitempty"`
}

// Globals is what the head of 00-globals.sql says: a program need not read the
// SQL below it. It stands in the file's first line, as a comment.
type Globals struct {
	Roles     []Role `json:"roles"`
	Passwords bool   `json:"passwords"` // the SQL holds password hashes
}

const globalsHead = "-- forgectl globals "

// Globals writes 00-globals.sql: the head line, then what pg_dumpall
// --globals-only prints. Password hashes are in it only when asked for, and
// only a superuser or a member of pg_read_all_data can read them.
func (d Dumper) Globals(ctx context.Context, g *Guard, passwords bool, w io.Writer) ([]Said, error) {
	head := Globals{Passwords: passwords}
	conn, err := g.Session(ctx)
	if err != nil {
		return nil, fmt.Errorf("dump globals: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var encoding string
	if err := conn.QueryRow(ctx, "SELECT getdatabaseencoding()").Scan(&encoding); err != nil {
		return nil, fmt.Errorf("dump globals: %w", err)
	}
	if encoding != "UTF8" { // names of roles lie there in UTF-8, whatever this database is
		if _, err := conn.Exec(ctx, "SET LOCAL client_encoding = SQL_ASCII"); err != nil {
			return nil, fmt.Errorf("dump globals: %w", err)
		}
	}
	rows, err := conn.Query(ctx, `SELECT rolname, rolcanlogin, rolsuper FROM pg_catalog.pg_roles WHERE rolname !~ '^pg_' ORDER BY 1`)
	if err == nil {
		head.Roles, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Role])
	}
	if err != nil {
		return nil, fmt.Errorf("dump globals: list roles: %w", err)
	}
	if err := writeHead(w, globalsHead, head); err != nil {
		return nil, fmt.Errorf("dump globals: %w", err)
	}
	args := []string{"--globals-only", "--no-password"}
	if encoding == "UTF8" {
		// Otherwise it would connect to postgres or template1, where this role may
		// have no business. The name is read as a connection string.
		args = append(args, "--database="+postgres.Params{"dbname": d.Endpoint.Database()}.String())
	}
	if !passwords {
		args = append(args, "--no-role-passwords")
	}
	said, err := d.run(ctx, "pg_dumpall", w, args...)
	if err != nil {
		err = fmt.Errorf("dump globals: %w", err)
		var failed *proc.Error
		if passwords && errors.As(err, &failed) {
			err = fmt.Errorf("%w (password hashes need a superuser or pg_read_all_data)", err)
		}
	}
	return said, err
}

// ReadGlobals reads the head of 00-globals.sql.
func ReadGlobals(r io.Reader) (Globals, error) {
	var g Globals
	err := readHead(r, globalsHead, &g)
	return g, err
}

// writeHead puts v into one comment line. JSON escapes every line break, so
// whatever a name holds, the line stays one line.
func writeHead(w io.Writer, head string, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s%s\n", head, line)
	return err
}

// maxHead bounds the head line: thousands of roles and settings fit.
const maxHead = 16 << 20

func readHead(r io.Reader, head string, v any) error {
	line, err := bufio.NewReaderSize(io.LimitReader(r, maxHead), 64<<10).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	rest, ok := bytes.CutPrefix(line, []byte(head))
	if !ok || !bytes.HasSuffix(rest, []byte("\n")) {
		return fmt.Errorf("%w: no line %q at the start", ErrArchive, strings.TrimSpace(head))
	}
	if err := json.Unmarshal(rest, v); err != nil {
		return fmt.Errorf("%w: head line: %w", ErrArchive, err)
	}
	return nil
}
