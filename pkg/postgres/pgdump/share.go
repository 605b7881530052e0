package pgdump

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Share is what a data archive holds. Each row of a database is in exactly one
// of the archives whose shares Shares returns; they can be written and loaded at
// the same time, in any order.
type Share struct {
	Bytes int64 // of the tables in it, as they lie on the server's disk; 0: unknown
	// Only, if not nil, is the table whose rows are all that is in the archive.
	Only *Relation
	// without are tables whose rows are in other archives, and with Only the sequences
	// that it owns: pg_dump would write their values twice.
	without []string
}

// maxShares bounds how many archives the data of one database comes in.
const maxShares = 16

// Shares divides the data of the guard's database: each table larger than limit
// bytes has an archive of its own, largest first, and the last share is all the
// rest, with sequences and large objects. limit 0: everything is one share.
func (g *Guard) Shares(ctx context.Context, limit int64) ([]Share, error) {
	rest := Share{}
	var large []Relation
	for _, r := range g.Relations {
		rest.Bytes += r.Bytes
		if limit > 0 && r.Bytes > limit && r.HasData(g.Server.Standby) && !r.extension && plainName(r.Schema) && plainName(r.Name) {
			large = append(large, r)
		}
	}
	slices.SortStableFunc(large, func(a, b Relation) int { return cmp.Compare(b.Bytes, a.Bytes) })
	owned, err := g.ownedSequences(ctx, large)
	if err != nil {
		return nil, fmt.Errorf("divide the data: %w", err)
	}
	var shares []Share
	for _, r := range large {
		if len(shares) == maxShares-1 {
			break
		}
		if sequences := owned[r.OID]; !slices.ContainsFunc(sequences, func(s string) bool { return !plainName(s) }) {
			shares = append(shares, Share{Bytes: r.Bytes, Only: &r, without: sequences})
			rest.Bytes -= r.Bytes
			rest.without = append(rest.without, pattern(r.Schema, r.Name))
		}
	}
	return append(shares, rest), nil
}

// ownedSequences are those of serial and identity columns, as patterns, by table.
func (g *Guard) ownedSequences(ctx context.Context, tables []Relation) (map[uint32][]string, error) {
	owned := map[uint32][]string{}
	if len(tables) == 0 {
		return owned, nil
	}
	conn, err := g.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT d.refobjid, n.nspname, c.relname
		FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
			AND d.deptype IN ('a', 'i') AND c.relkind = 'S' AND d.refobjid = ANY ($1::oid[])`, relationOIDs(tables))
	if err != nil {
		return nil, err
	}
	var table uint32
	var schema, name string
	_, err = pgx.ForEachRow(rows, []any{&table, &schema, &name}, func() error {
		owned[table] = append(owned[table], pattern(schema, name))
		return nil
	})
	return owned, err
}

// plainName reports whether a name is the same in every encoding: pg_dump
// compares its arguments with names in the encoding of the database.
func plainName(s string) bool {
	return ascii(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}

// pattern is a name for pg_dump's options: between quotes nothing stands for
// anything else (processSQLNamePattern in src/fe_utils/string_utils.c).
func pattern(schema, name string) string {
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	return quote(schema) + "." + quote(name)
}

func (s Share) args() []string {
	var args []string
	if s.Only != nil {
		args = append(args, "--strict-names", "--table="+pattern(s.Only.Schema, s.Only.Name))
	}
	for _, p := range s.without {
		args = append(args, "--exclude-table-data="+p)
	}
	return args
}
