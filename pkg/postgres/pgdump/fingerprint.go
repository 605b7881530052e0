package pgdump

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Measure takes the fingerprint of the guard's database in its snapshot, over
// connections of its own. level is one of the catalog's Fingerprint levels.
// progress, if not nil, gets the bytes of each table that is done.
func Measure(ctx context.Context, g *Guard, level string, progress func(bytes int64)) (*catalog.Fingerprint, error) {
	f := &catalog.Fingerprint{Level: level, Snapshot: g.Snapshot}
	if level == catalog.FingerprintNone {
		return f, nil
	}
	conn, err := g.Session(ctx)
	if err != nil {
		return nil, fmt.Errorf("take fingerprint: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := lockAll(ctx, conn, g.Relations); err != nil {
		return nil, fmt.Errorf("take fingerprint: %w", err)
	}
	// Planning a query locks every index of its table until the transaction ends, and
	// reading a sequence locks that. Of thousands a server's lock table is soon full.
	if _, err := conn.Exec(ctx, "SAVEPOINT locked"); err != nil {
		return nil, fmt.Errorf("take fingerprint: %w", err)
	}
	release := func() error {
		_, err := conn.Exec(ctx, "ROLLBACK TO SAVEPOINT locked")
		return err
	}
	for _, r := range g.Relations {
		if !r.HasData(g.Server.Standby) {
			continue
		}
		t := catalog.Table{Schema: r.Schema, Name: r.Name, Condition: r.Condition}
		if err := measureTable(ctx, conn, &t, level); err != nil {
			return nil, fmt.Errorf("take fingerprint: %w", err)
		}
		f.Tables = append(f.Tables, t)
		if progress != nil {
			progress(r.Bytes)
		}
		if err := release(); err != nil {
			return nil, fmt.Errorf("take fingerprint: %w", err)
		}
	}
	if f.Sequences, err = readSequences(ctx, conn, release); err != nil {
		return nil, fmt.Errorf("take fingerprint: %w", err)
	}
	if f.LargeObjects, err = readLargeObjects(ctx, conn); err != nil {
		return nil, fmt.Errorf("take fingerprint: %w", err)
	}
	return f, nil
}

// lockAll takes all locks at the start, as pg_dump does: once it has them, a
// session that queues for the guard to end can no longer stand in the way.
func lockAll(ctx context.Context, q querier, relations []Relation) error {
	for _, r := range relations {
		name := postgres.QuoteIdent(r.Schema, r.Name)
		_, err := q.Exec(ctx, "LOCK TABLE ONLY "+name+" IN ACCESS SHARE MODE")
		if errorCode(err) == codeLockTimeout {
			return busy(ctx, q, r)
		}
		if err != nil {
			return fmt.Errorf("lock %s: %w", name, err)
		}
	}
	return nil
}

// measureTable counts, and at level full hashes, the rows of t.
//
// The hash of a row is md5 over the text of its columns in the order of their
// names: a restore may give an inherited table another column order. The hash
// of the table is the sum of the first 64 bits of each, as signed numbers. A
// sum does not depend on the order of rows; an XOR would not see a row that
// appears twice.
func measureTable(ctx context.Context, q querier, t *catalog.Table, level string) error {
	name := postgres.QuoteIdent(t.Schema, t.Name)
	from := " FROM ONLY " + name + " AS forgectl_row"
	if t.Condition != "" { // as the extension gave it: "WHERE …", and as pg_dump uses it
		from = " FROM (SELECT * FROM " + name + " " + t.Condition + ") AS forgectl_row"
	}
	if level != catalog.FingerprintFull {
		if err := q.QueryRow(ctx, "SELECT count(*)"+from).Scan(&t.Rows); err != nil {
			return fmt.Errorf("count %s: %w", name, err)
		}
		return nil
	}
	columns, err := columnNames(ctx, q, name)
	if err != nil {
		return fmt.Errorf("hash %s: %w", name, err)
	}
	for i, c := range columns {
		columns[i] = "forgectl_row." + postgres.QuoteIdent(c)
	}
	row := "ROW(" + strings.Join(columns, ", ") + ")::text"
	err = q.QueryRow(ctx, "SELECT count(*), coalesce(sum(('x' || left(md5("+row+"), 16))::bit(64)::bigint::numeric), 0)::text"+from).Scan(&t.Rows, &t.Hash)
	if err != nil {
		return fmt.Errorf("hash %s: %w", name, err)
	}
	return nil
}

func columnNames(ctx context.Context, q querier, relation string) ([]string, error) {
	rows, err := q.Query(ctx, `SELECT attname::text FROM pg_catalog.pg_attribute
		WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attname COLLATE "C"`, relation)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// readSequences reads every sequence that is dumped, owned and standalone.
func readSequences(ctx context.Context, q querier, release func() error) ([]catalog.Sequence, error) {
	names, err := sequenceNames(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("list sequences: %w", err)
	}
	for i := range names {
		s := &names[i]
		name := postgres.QuoteIdent(s.Schema, s.Name)
		err := q.QueryRow(ctx, "SELECT last_value, is_called FROM "+name).Scan(&s.Value, &s.Called)
		if errorCode(err) == codeLockTimeout {
			return nil, &BusyError{Tables: []string{name}}
		}
		if err != nil {
			return nil, fmt.Errorf("read sequence %s: %w", name, err)
		}
		if err := release(); err != nil {
			return nil, fmt.Errorf("read sequence %s: %w", name, err)
		}
	}
	return names, nil
}

func sequenceNames(ctx context.Context, q querier) ([]catalog.Sequence, error) {
	rows, err := q.Query(ctx, `SELECT n.nspname::text, c.relname::text
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
			AND (NOT pg_is_in_recovery() OR c.relpersistence <> 'u')
			AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
				WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
					AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e')
		ORDER BY 1, 2`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (catalog.Sequence, error) {
		var s catalog.Sequence
		err := row.Scan(&s.Schema, &s.Name)
		return s, err
	})
}

// readLargeObjects counts large objects and their logical bytes: a hole reads
// as zeros and is restored as such. nil when there are none, or when the role
// may not read pg_largeobject (then Count is all that is known, Bytes -1).
func readLargeObjects(ctx context.Context, q querier) (*catalog.LargeObjects, error) {
	var lo catalog.LargeObjects
	var readable bool
	err := q.QueryRow(ctx, `SELECT (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata),
		has_table_privilege('pg_catalog.pg_largeobject', 'SELECT')`).Scan(&lo.Count, &readable)
	if err != nil {
		return nil, fmt.Errorf("count large objects: %w", err)
	}
	if lo.Count == 0 {
		return nil, nil
	}
	if !readable {
		lo.Bytes = -1
		return &lo, nil
	}
	// A page of a large object is a quarter of a block (LOBLKSIZE).
	err = q.QueryRow(ctx, `SELECT coalesce(sum(size), 0)::bigint FROM (
		SELECT max(pageno::bigint * (current_setting('block_size')::int / 4) + octet_length(data)) AS size
		FROM pg_catalog.pg_largeobject GROUP BY loid) s`).Scan(&lo.Bytes)
	if err != nil {
		return nil, fmt.Errorf("measure large objects: %w", err)
	}
	return &lo, nil
}

// ErrDiffers is wrapped by a DifferenceError.
var ErrDiffers = errors.New("restored database differs from the backup")

// DifferenceError lists where a database is not what its fingerprint says.
type DifferenceError struct{ Differences []string }

func (e *DifferenceError) Error() string {
	const shown = 5
	list := e.Differences
	more := ""
	if len(list) > shown {
		more = fmt.Sprintf("; and %d more", len(list)-shown)
		list = list[:shown]
	}
	return ErrDiffers.Error() + ": " + strings.Join(list, "; ") + more
}

// Is makes errors.Is(err, ErrDiffers) true.
func (e *DifferenceError) Is(target error) bool { return target == ErrDiffers }

// Compare measures the database behind e the way want was measured and returns
// a DifferenceError if it is not the same. A sequence may have moved on; a
// table or sequence that want does not name is a difference too.
func Compare(ctx context.Context, e *postgres.Endpoint, want *catalog.Fingerprint, progress func(done, total int)) error {
	return CompareChosen(ctx, e, want, nil, progress)
}

// CompareChosen is Compare for a database that has only some tables: those must
// be as want says, with the sequences that came with them, and every other one
// must be empty. nil is all of them.
func CompareChosen(ctx context.Context, e *postgres.Endpoint, want *catalog.Fingerprint, chosen *Choice, progress func(done, total int)) error {
	if want == nil || want.Level == catalog.FingerprintNone {
		return nil
	}
	want = chosen.expected(want)
	conn, err := e.Connect(ctx)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	server, err := postgres.Facts(ctx, conn)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if err := pin(ctx, conn, server.Version); err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	var found []string
	for i, t := range want.Tables {
		difference, err := compareTable(ctx, conn, t, want.Level)
		if err != nil {
			return fmt.Errorf("compare: %w", err)
		}
		if difference != "" {
			found = append(found, difference)
		}
		if progress != nil {
			progress(i+1, len(want.Tables))
		}
	}
	extra, err := extraTables(ctx, conn, want)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	sequences, err := compareSequences(ctx, conn, want.Sequences, chosen)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	objects, err := compareLargeObjects(ctx, conn, want.LargeObjects)
	if err != nil {
		return fmt.Errorf("compare: %w", err)
	}
	if found = slices.Concat(found, extra, sequences, objects); len(found) > 0 {
		return &DifferenceError{Differences: found}
	}
	return nil
}

func compareTable(ctx context.Context, q querier, want catalog.Table, level string) (string, error) {
	got := catalog.Table{Schema: want.Schema, Name: want.Name, Condition: want.Condition}
	name := postgres.QuoteIdent(want.Schema, want.Name)
	err := measureTable(ctx, q, &got, level)
	switch code := errorCode(err); {
	case code == "42P01" || code == "3F000":
		return fmt.Sprintf("table %s is missing", name), nil
	case err != nil:
		return "", err
	case got.Rows != want.Rows:
		return fmt.Sprintf("table %s has %d rows, not %d", name, got.Rows, want.Rows), nil
	case got.Hash != want.Hash:
		return fmt.Sprintf("table %s has other content in its %d rows", name, got.Rows), nil
	}
	return "", nil
}

// extraTables names tables that the fingerprint does not know. Those of an
// extension are its own: another version of it may have more of them.
func extraTables(ctx context.Context, q querier, want *catalog.Fingerprint) ([]string, error) {
	relations, err := listRelations(ctx, q)
	if err != nil {
		return nil, err
	}
	known := map[[2]string]bool{}
	for _, t := range want.Tables {
		known[[2]string{t.Schema, t.Name}] = true
	}
	var found []string
	for _, r := range relations {
		// An unlogged table of a standby is there, empty.
		if r.HasData(false) && !r.Unlogged && !r.extension && !known[[2]string{r.Schema, r.Name}] {
			found = append(found, fmt.Sprintf("table %s is not in the backup", postgres.QuoteIdent(r.Schema, r.Name)))
		}
	}
	return found, nil
}

// compareSequences passes over those that do not come with the chosen tables.
func compareSequences(ctx context.Context, q querier, want []catalog.Sequence, chosen *Choice) ([]string, error) {
	got, err := readSequences(ctx, q, func() error { return nil })
	if err != nil {
		return nil, err
	}
	byName := map[[2]string]catalog.Sequence{}
	for _, s := range got {
		byName[[2]string{s.Schema, s.Name}] = s
	}
	kinds, err := sequenceKinds(ctx, q)
	if err != nil {
		return nil, err
	}
	var found []string
	known := map[[2]string]bool{}
	for _, w := range want {
		known[[2]string{w.Schema, w.Name}] = true
	}
	for _, s := range got {
		key := [2]string{s.Schema, s.Name}
		// Those of unlogged tables are not read on a standby.
		if !known[key] && !kinds[key].unlogged && chosen.moves(key) {
			found = append(found, fmt.Sprintf("sequence %s is not in the backup", postgres.QuoteIdent(s.Schema, s.Name)))
		}
	}
	for _, w := range want {
		key := [2]string{w.Schema, w.Name}
		name := postgres.QuoteIdent(w.Schema, w.Name)
		g, ok := byName[key]
		if !ok {
			found = append(found, fmt.Sprintf("sequence %s is missing", name))
			continue
		}
		// Moving on means the way the sequence counts.
		behind := g.Value < w.Value
		if kinds[key].increment < 0 {
			behind = g.Value > w.Value
		}
		if behind || g.Value == w.Value && w.Called && !g.Called {
			found = append(found, fmt.Sprintf("sequence %s stands at %d, not at %d", name, g.Value, w.Value))
		}
	}
	return found, nil
}

type sequenceKind struct {
	increment int64
	unlogged  bool
}

func sequenceKinds(ctx context.Context, q querier) (map[[2]string]sequenceKind, error) {
	rows, err := q.Query(ctx, `SELECT n.nspname::text, c.relname::text, s.seqincrement, c.relpersistence = 'u'
		FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace`)
	if err != nil {
		return nil, fmt.Errorf("list sequences: %w", err)
	}
	kinds := map[[2]string]sequenceKind{}
	var key [2]string
	var kind sequenceKind
	_, err = pgx.ForEachRow(rows, []any{&key[0], &key[1], &kind.increment, &kind.unlogged}, func() error { kinds[key] = kind; return nil })
	if err != nil {
		return nil, fmt.Errorf("list sequences: %w", err)
	}
	return kinds, nil
}

func compareLargeObjects(ctx context.Context, q querier, want *catalog.LargeObjects) ([]string, error) {
	got, err := readLargeObjects(ctx, q)
	if err != nil {
		return nil, err
	}
	if want == nil {
		want = &catalog.LargeObjects{}
	}
	if got == nil {
		got = &catalog.LargeObjects{}
	}
	if got.Count != want.Count {
		return []string{fmt.Sprintf("%d large objects, not %d", got.Count, want.Count)}, nil
	}
	if want.Bytes >= 0 && got.Bytes >= 0 && got.Bytes != want.Bytes {
		return []string{fmt.Sprintf("large objects have %d bytes, not %d", got.Bytes, want.Bytes)}, nil
	}
	return nil, nil
}

// CheckEntries holds the TABLE DATA entries of an archive against the tables
// that were counted: both must be the same set, or counts prove nothing.
func CheckEntries(toc *TOC, f *catalog.Fingerprint) error {
	if f.Level == catalog.FingerprintNone {
		return nil
	}
	dumped := map[[2]string]bool{}
	for _, e := range toc.TableData() {
		dumped[[2]string{e.Schema, e.Name}] = true
	}
	var found []string
	for _, t := range f.Tables {
		key := [2]string{t.Schema, t.Name}
		if !dumped[key] {
			found = append(found, "table "+postgres.QuoteIdent(key[:]...)+" was counted but not dumped")
		}
		delete(dumped, key)
	}
	for key := range dumped {
		found = append(found, "table "+postgres.QuoteIdent(key[:]...)+" was dumped but not counted")
	}
	if len(found) > 0 {
		slices.Sort(found)
		return &DifferenceError{Differences: found}
	}
	return nil
}
