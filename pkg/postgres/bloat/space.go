package bloat

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Conn is a connection or a transaction.
type Conn interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// How is how a figure was found.
type How string

// The ways, from the best to none.
const (
	Exact    How = "pgstattuple"    // the pages were read
	FreeMap  How = "free space map" // whole free pages only: at least so much
	Estimate How = "estimate"       // from statistics
	Unknown  How = "unknown"        // see Why
)

// Space is how large something is, and how much of that is dead.
type Space struct {
	Bytes int64  `json:"bytes"`
	Dead  int64  `json:"dead_bytes"` // what a rewrite would give back; 0 when How is Unknown
	How   How    `json:"how"`
	Why   string `json:"why,omitempty"` // nothing is known; or what is special about the figure
}

// Ratio is the dead part of the whole, from 0 to 1.
func (s Space) Ratio() float64 {
	if s.Bytes <= 0 {
		return 0
	}
	return float64(s.Dead) / float64(s.Bytes)
}

func unknown(bytes int64, why string) Space { return Space{Bytes: bytes, How: Unknown, Why: why} }

// found is a size against what is needed.
func found(bytes, needed int64, how How) Space {
	return Space{Bytes: bytes, Dead: min(max(bytes-needed, 0), bytes), How: how}
}

// Why nothing is known.
const (
	whyUnanalyzed = "never analyzed: ANALYZE it"
	whyToast      = "never vacuumed: VACUUM the table"
	whyUnreadable = "the server shows its statistics only to who may read the table: GRANT pg_read_all_data, or SELECT on it"
	whyMethod     = "no estimate for %s indexes"
	whyGIN        = "a GIN index cannot be estimated; with the extension pg_freespacemap its free pages can be counted"
	whyLeastGIN   = "its free pages only: at least so much"
	whyInvalid    = "not valid: it is to be rebuilt or dropped"
	whyRefused    = "estimated: pgstattuple is refused to this role: GRANT pg_stat_scan_tables"
	whyLocked     = "held exclusively by somebody at this moment"
)

// Filter chooses relations. The zero value is every table and index of the
// database but those of the system, estimated.
type Filter struct {
	Tables []uint32 // OIDs of tables: only these, or their indexes
	// Exact reads whole relations where pgstattuple is there; Most, if not 0,
	// leaves those to the estimate that are larger.
	Exact bool
	Most  int64
}

// exactly reports whether a relation of this size is to be read.
func (f Filter) exactly(e extension, bytes int64) bool {
	return f.Exact && e.usable() != "" && bytes > 0 && (f.Most == 0 || bytes <= f.Most)
}

// explain says that an exact figure was refused.
func (f Filter) explain(s Space, e extension) Space {
	if f.Exact && e.refused && s.How == Estimate && s.Bytes > 0 {
		s.Why = whyRefused
	}
	return s
}

// oids is the filter as a parameter: null is everything.
func (f Filter) oids() []int64 {
	if f.Tables == nil {
		return nil
	}
	list := make([]int64, len(f.Tables))
	for i, oid := range f.Tables {
		list[i] = int64(oid)
	}
	return list
}

// extension is where a function of an extension is, and whether this role may
// call it.
type extension struct {
	schema  string // quoted; "" without it, or where its version has no such function
	refused bool   // it is there, for others
}

// usable is the schema, when the function can be called.
func (e extension) usable() string {
	if e.refused {
		return ""
	}
	return e.schema
}

func find(ctx context.Context, conn Conn, name, function string) (extension, error) {
	var e extension
	err := conn.QueryRow(ctx, `SELECT coalesce(max(pg_catalog.quote_ident(n.nspname)), ''),
			coalesce(bool_or(NOT pg_catalog.has_function_privilege(p.oid, 'EXECUTE') OR NOT pg_catalog.has_schema_privilege(n.oid, 'USAGE')), false)
		FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
		JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid AND p.proname = $2
			AND p.pronargs = 1 AND p.proargtypes[0] = 'regclass'::regtype
		WHERE e.extname = $1`, name, function).Scan(&e.schema, &e.refused)
	if err != nil {
		return e, fmt.Errorf("look for the extension %s: %w", name, err)
	}
	return e, nil
}

// ours is SQL for relations in c and n that are neither the system's nor another
// session's temporary ones.
const ours = `n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(toast_)?temp_'`
