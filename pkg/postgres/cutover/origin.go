package cutover

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Role is what a database is in a restore. It is also the middle of its name:
// bmad_forge_before_20261123t020000z.
type Role string

// The roles. All but Candidate have been live once, so an application may have
// written to them.
const (
	Candidate Role = "restore" // being loaded, or left by a run that died
	Before    Role = "before"  // was live until a restore took its place
	Failed    Role = "failed"  // restored, but the application was not well with it
	Undone    Role = "undone"  // restored, and taken back by hand
)

// Origin is where a database that is not live comes from, kept as JSON in its comment.
type Origin struct {
	Forgectl Role   `json:"forgectl"`
	Of       string `json:"of"`            // the live database that it belongs, or belonged, to
	Run      string `json:"run"`           // start of the restore, as in the name
	Set      string `json:"set,omitempty"` // what was restored
	Comment  string `json:"comment,omitempty"`
}

// String is the comment.
func (o Origin) String() string {
	text, err := json.Marshal(o)
	if err != nil { // strings always marshal
		panic(err)
	}
	return string(text)
}

// ParseOrigin reads a comment; false when it is none of ours.
func ParseOrigin(comment string) (Origin, bool) {
	var o Origin
	if !strings.HasPrefix(comment, `{"forgectl":`) || json.Unmarshal([]byte(comment), &o) != nil {
		return Origin{}, false
	}
	switch o.Forgectl {
	case Candidate, Before, Failed, Undone:
		return o, o.Of != "" && o.Run != ""
	}
	return Origin{}, false
}

// gave reports whether a database has the name that goes with its origin. One
// that somebody has renamed, back into service or to keep it, is none of ours any
// more, whatever its comment still says.
func (o Origin) gave(name string) bool { return o.Of != "" && name == Name(o.Of, o.Forgectl, o.Run) }

// Plain is a comment without an origin: what it was when the database was live.
func Plain(comment string) string {
	if o, ours := ParseOrigin(comment); ours {
		return o.Comment
	}
	return comment
}

// Run names a restore by its start.
func Run(start time.Time) string { return strings.ToLower(start.UTC().Format("20060102T150405Z")) }

// ParseRun is the start that Run was given.
func ParseRun(run string) (time.Time, error) {
	return time.Parse("20060102T150405Z", strings.ToUpper(run))
}

// Name is the name of a database in a role: cut at a character boundary so that
// it fits into the 63 bytes that PostgreSQL allows.
func Name(live string, role Role, run string) string {
	return postgres.CutName(live, "_"+string(role)+"_"+run)
}

// Kept is a database that a restore left beside the live one.
type Kept struct {
	Name     string
	OID      uint32
	Bytes    int64 // -1: this role may not know
	Sessions int   // who is connected now
	Origin   Origin
}

// ListKept lists the databases of a server that carry an Origin and the name that
// goes with it, by name; of, if
// not empty, those that belong to one live database.
func ListKept(ctx context.Context, admin *postgres.Endpoint, of string) ([]Kept, error) {
	conn, err := admin.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT d.datname::text, d.oid, pg_catalog.shobj_description(d.oid, 'pg_database'),
			CASE WHEN has_database_privilege(d.oid, 'CONNECT') OR pg_has_role('pg_read_all_stats', 'USAGE') THEN coalesce(pg_catalog.pg_database_size(d.oid), -1) ELSE -1 END,
			(SELECT count(*) FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid)
		FROM pg_catalog.pg_database d WHERE pg_catalog.shobj_description(d.oid, 'pg_database') IS NOT NULL ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("list kept databases: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (k Kept, err error) {
		var comment string
		err = row.Scan(&k.Name, &k.OID, &comment, &k.Bytes, &k.Sessions)
		k.Origin, _ = ParseOrigin(comment)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("list kept databases: %w", err)
	}
	var kept []Kept
	for _, k := range all {
		if k.Origin.gave(k.Name) && (of == "" || k.Origin.Of == of) {
			kept = append(kept, k)
		}
	}
	return kept, nil
}

// ListUnmarked lists databases that have the name of a candidate and no mark: a
// restore that was killed right after CREATE DATABASE leaves one, or somebody who
// gave a database of his own such a name. Nothing here drops them.
func ListUnmarked(ctx context.Context, admin *postgres.Endpoint) ([]string, error) {
	conn, err := admin.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT datname::text FROM pg_catalog.pg_database
		WHERE datname ~ $1 AND pg_catalog.shobj_description(oid, 'pg_database') IS NULL ORDER BY 1`, "_"+string(Candidate)+"_[0-9]{8}t[0-9]{6}z$")
	if err != nil {
		return nil, fmt.Errorf("list unmarked databases: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list unmarked databases: %w", err)
	}
	return names, nil
}

// Drop drops a kept database, if it still is one: the comment is read again by
// the same session.
func Drop(ctx context.Context, admin *postgres.Endpoint, k Kept) error {
	conn, err := admin.ConnectPatient(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var comment string
	err = conn.QueryRow(ctx, `SELECT coalesce(pg_catalog.shobj_description(oid, 'pg_database'), '') FROM pg_catalog.pg_database WHERE datname = $1 AND oid = $2`, k.Name, k.OID).Scan(&comment)
	if err != nil {
		return fmt.Errorf("drop %s: look at it again: %w", k.Name, err)
	}
	if o, ok := ParseOrigin(comment); !ok || o != k.Origin {
		return fmt.Errorf("drop %s: it is not the database that was listed", k.Name)
	}
	// Not WITH (FORCE): somebody who is connected may be rescuing something.
	if _, err := conn.Exec(ctx, "DROP DATABASE "+postgres.QuoteIdent(k.Name)); err != nil {
		return fmt.Errorf("drop %s: %w", k.Name, err)
	}
	return nil
}

// Databases are those of a server that can be connected to, by name, without
// templates and without what restores left.
func Databases(ctx context.Context, e *postgres.Endpoint) ([]string, error) {
	conn, err := e.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT datname::text, coalesce(pg_catalog.shobj_description(oid, 'pg_database'), '')
		FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1`)
	if err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name, comment string
		if err := rows.Scan(&name, &comment); err != nil {
			return nil, fmt.Errorf("list databases: %w", err)
		}
		if o, _ := ParseOrigin(comment); !o.gave(name) {
			names = append(names, name)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list databases: %w", err)
	}
	return names, nil
}
