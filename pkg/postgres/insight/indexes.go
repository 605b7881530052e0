package insight

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres/bloat"
)

// IndexLimits says what counts as a finding.
type IndexLimits struct {
	UnusedScans int64         // so many scans are none
	UnusedAfter time.Duration // watched for less: nothing is proposed
	BloatRatio  float64       // dead part of a bloated index, and
	BloatBytes  int64         // its dead bytes
	Rows        int64         // a table with fewer needs no index
	Exact       bool          // with pgstattuple
}

// The kinds of findings, as they are listed.
const (
	Invalid   = "invalid"
	Duplicate = "duplicate"
	Covered   = "covered"
	Unused    = "unused"
	Bloated   = "bloated"
	Missing   = "missing"
	Scanned   = "scanned" // a large table that is read whole, again and again
)

// IndexFinding is one index that should go, be rebuilt, or be made.
type IndexFinding struct {
	Kind  string `json:"kind"`
	Index string `json:"index"` // schema.name, quoted where SQL wants it; of a missing one its name to be
	Table string `json:"table"`
	Why   string `json:"why"`
	Bytes int64  `json:"bytes"`
	// Scans are those since WatchedSince, which is the first time that forgectl saw
	// the index; LastScan only servers from 16 on know.
	Scans        int64      `json:"scans"`
	WatchedSince *time.Time `json:"watched_since"`
	LastScan     *time.Time `json:"last_scan"`
	Constraint   bool       `json:"constraint"`
	Replica      bool       `json:"replica_identity"`
	// Early is that it was not watched for long enough: no reason to act yet.
	Early bool `json:"early"`
	// SQL does it, Back takes it back. Both are empty where somebody has to think.
	SQL  string `json:"sql"`
	Back string `json:"back"`

	oid uint32 // of an index that is there
}

// IndexReport is what forgectl db indexes shows.
type IndexReport struct {
	Head
	Indexes         int            `json:"indexes"`
	Bytes           int64          `json:"bytes"`
	StatisticsSince *time.Time     `json:"statistics_since"` // nil: never reset, or unknown
	Findings        []IndexFinding `json:"findings"`
}

// index is a row of indexQuery.
type index struct {
	OID, TableOID uint32
	Name, Table   string // schema.name, quoted
	Method        string
	Partitioned   bool // an index over partitions: no pages of its own
	Attached      bool // to one of these
	Unique        bool
	Primary       bool
	Replica       bool
	Clustered     bool
	Valid         bool
	Constraint    bool // one that it backs, or that refers to it
	Extension     bool
	Toast         bool
	Bytes         int64
	Scans         int64
	LastScan      *time.Time
	Keys          int // the others are included
	Columns       []string
	Predicate     string
	NullsEqual    bool
}

// Indexes looks for indexes that are of no use, damaged, swollen or missing.
func (s *Session) Indexes(ctx context.Context, l IndexLimits) (IndexReport, error) {
	r := IndexReport{Head: s.head(), Findings: []IndexFinding{}}
	err := s.reading(ctx, func(tx pgx.Tx) error {
		var err error
		if err = tx.QueryRow(ctx, `SELECT stats_reset FROM pg_catalog.pg_stat_database WHERE datname = current_database()`).Scan(&r.StatisticsSince); err != nil {
			return err
		}
		list, err := s.listIndexes(ctx, tx)
		if err != nil {
			return err
		}
		for _, x := range list {
			if !x.Partitioned {
				r.Indexes++
				r.Bytes += x.Bytes
			}
		}
		watched := s.watch(&r, list)
		building, err := s.building(ctx, tx, &r.Head)
		if err != nil {
			return err
		}
		redundant := redundancy(list, watched)
		r.Findings = append(r.Findings, invalid(list, building)...)
		r.Findings = append(r.Findings, redundant...)
		r.Findings = append(r.Findings, s.unused(list, watched, redundant, l)...)
		swollen, err := bloated(ctx, tx, list, l)
		if err != nil {
			return err
		}
		r.Findings = append(r.Findings, swollen...)
		missing, err := s.missing(ctx, tx, list, l)
		if err != nil {
			return err
		}
		r.Findings = append(r.Findings, missing...)
		if r.Findings, err = takeBack(ctx, tx, r.Findings); err != nil {
			return err
		}
		if err := s.standbys(ctx, tx, &r.Head); err != nil {
			return err
		}
		keep(ctx, s, &r.Head, "indexes", watchKeep, watched)
		return nil
	})
	return r, err
}

func (s *Session) listIndexes(ctx context.Context, tx pgx.Tx) ([]index, error) {
	last, nulls := "NULL::timestamptz", "false"
	if s.server.Version.Major() >= 16 {
		last = "s.last_idx_scan"
	}
	if s.server.Version.Major() >= 15 {
		nulls = "i.indnullsnotdistinct"
	}
	return collect[index](ctx, tx, "indexes", `
WITH exclusive AS MATERIALIZED (
	SELECT DISTINCT l.relation FROM pg_catalog.pg_locks l WHERE l.mode = 'AccessExclusiveLock' AND l.locktype = 'relation'
		AND l.pid <> pg_catalog.pg_backend_pid()
)
SELECT ic.oid, c.oid, pg_catalog.format('%I.%I', n.nspname, ic.relname), pg_catalog.format('%I.%I', tn.nspname, c.relname), am.amname,
	ic.relkind = 'I', ic.relispartition, i.indisunique, i.indisprimary, i.indisreplident, i.indisclustered, i.indisvalid AND i.indisready AND i.indislive,
	EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = ic.oid),
	EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid IN (ic.oid, c.oid) AND d.deptype = 'e'),
	n.nspname = 'pg_toast',
	CASE WHEN x.relation IS NULL THEN coalesce(pg_catalog.pg_relation_size(ic.oid), 0) ELSE ic.relpages * current_setting('block_size')::bigint END,
	coalesce(s.idx_scan, 0), `+last+`, i.indnkeyatts,
	(SELECT array_agg(pg_catalog.concat_ws(' ', CASE WHEN i.indkey[k] = 0 THEN pg_catalog.pg_get_indexdef(ic.oid, k + 1, false) ELSE i.indkey[k]::text END,
		i.indclass[k], i.indcollation[k], i.indoption[k]) ORDER BY k) FROM pg_catalog.generate_series(0, i.indnatts - 1) k),
	coalesce(i.indpred::text, ''), `+nulls+`
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
JOIN pg_catalog.pg_namespace n ON n.oid = ic.relnamespace
JOIN pg_catalog.pg_am am ON am.oid = ic.relam
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = c.relnamespace
LEFT JOIN exclusive x ON x.relation = ic.oid
LEFT JOIN pg_catalog.pg_stat_all_indexes s ON s.indexrelid = ic.oid
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast_)?temp_'
	AND (n.nspname <> 'pg_toast' OR NOT i.indisvalid)
ORDER BY 4, ic.oid`)
}

// building are the indexes that somebody is making at this moment: they are not
// valid yet, and nothing is wrong.
func (s *Session) building(ctx context.Context, tx pgx.Tx, h *Head) (map[uint32]bool, error) {
	type row struct{ OID uint32 }
	rows, err := collect[row](ctx, tx, "running builds", `SELECT coalesce(index_relid, 0)::oid FROM pg_catalog.pg_stat_progress_create_index`)
	if err != nil {
		return nil, err
	}
	found := map[uint32]bool{}
	for _, r := range rows {
		found[r.OID] = true
	}
	if found[0] {
		h.note("an index is being built by somebody whose work this role does not see: it is listed as invalid")
	}
	return found, nil
}

// standbys says what the counters of this server cannot know.
func (s *Session) standbys(ctx context.Context, tx pgx.Tx, h *Head) error {
	if s.server.Standby {
		h.note("this is a standby: scans are its own, and what is dropped is dropped on the primary; look there too")
		return nil
	}
	var n int
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM pg_catalog.pg_stat_replication`).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		h.note("%d standbys follow this server: an index that only they use has no scans here; run this there before you drop one", n)
	}
	return nil
}

// bloated are indexes of which a large part is dead.
func bloated(ctx context.Context, tx pgx.Tx, known []index, l IndexLimits) ([]IndexFinding, error) {
	// No more can be dead than there is: most indexes are too small to be looked at.
	at, large := map[uint32]index{}, map[uint32]bool{}
	for _, k := range known {
		if at[k.OID] = k; k.Bytes >= l.BloatBytes {
			large[k.TableOID] = true
		}
	}
	if len(large) == 0 {
		return nil, nil
	}
	list, err := bloat.Indexes(ctx, tx, bloat.Filter{Exact: l.Exact, Tables: slices.Collect(maps.Keys(large))})
	if err != nil {
		return nil, err
	}
	var found []IndexFinding
	for _, x := range list {
		if x.Space.How == bloat.Unknown || x.Space.Dead < max(l.BloatBytes, 1) || x.Space.Ratio() < l.BloatRatio {
			continue
		}
		k, listed := at[x.OID]
		if !listed {
			continue // made since
		}
		f := k.finding(Bloated, "%s", bloatText(x.Space))
		f.SQL, f.Back = "REINDEX INDEX CONCURRENTLY "+f.Index+";", unchanged
		found = append(found, f)
	}
	return found, nil
}

// unchanged is the way back from a REINDEX.
const unchanged = "-- nothing to take back: the index is the same afterwards"
