package pgdump

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// copied has a row for everything that COPY escapes, a long one, many short ones,
// a table without columns and one without rows. No sequence.
const copied = `
CREATE TABLE odd (a text, b bytea, c int[], d timestamptz);
INSERT INTO odd VALUES (E'tab\t newline\n return\r back\\slash \\. end', '\x00ff0a5c', '{1,NULL}', '2026-11-23 02:00:00.123456+00'), ('\.', NULL, NULL, NULL), ('\N', '', '{}', 'infinity'), (NULL, NULL, NULL, '-infinity');
CREATE TABLE long (v text); INSERT INTO long SELECT repeat('0123456789abcdef', 200000) FROM generate_series(1, 3);
CREATE TABLE many (i int, v text); INSERT INTO many SELECT i, 'row ' || i FROM generate_series(1, 50000) AS i;
CREATE TABLE none (i int); CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES; INSERT INTO nothing DEFAULT VALUES;
`

// shares are the archives of single tables of e, by name, and the fingerprint.
func shares(t *testing.T, e *postgres.Endpoint) (map[string][]byte, *catalog.Fingerprint) {
	t.Helper()
	g, ctx := openGuard(t, e, GuardOptions{})
	all, err := g.Shares(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	archives := map[string][]byte{}
	for _, share := range all[:len(all)-1] {
		var b bytes.Buffer
		if _, err := dumper(t, e).Rows(ctx, share, g.Snapshot, &b); err != nil {
			t.Fatal(err)
		}
		archives[share.Only.Name] = b.Bytes()
	}
	f, err := Measure(ctx, g, catalog.FingerprintFull, nil)
	if err != nil {
		t.Fatal(err)
	}
	return archives, f
}

func emptied(t *testing.T) *postgres.Endpoint {
	t.Helper()
	return scratchtest.Database(t, copied, "TRUNCATE odd, long, many, none, nothing")
}

// Promise: an archive of nothing but rows is loaded without pg_restore, every
// value of it, whatever pieces it arrives in, and only the tables that are wanted.
func TestCopyRows(t *testing.T) {
	t.Parallel()
	archives, f := shares(t, scratchtest.Database(t, copied))
	if len(archives) != 4 { // what has no bytes is with the rest
		t.Fatalf("%d archives", len(archives))
	}
	for _, size := range []int{1 << 30, 4093} {
		e := scratchtest.Database(t, copied, "TRUNCATE odd, long, many, nothing")
		l := Loader{Endpoint: e, Tools: postgres.Tools{Dir: "/nowhere"}, Runner: scratchtest.Runner()}
		for name, archive := range archives {
			if said, err := l.Load(t.Context(), Data, &pieces{archive, size}); err != nil || len(said) > 0 {
				t.Fatalf("%s: %v, said %v", name, err, said)
			}
		}
		if err := Compare(t.Context(), e, f, nil); err != nil {
			t.Errorf("in pieces of %d: %v", size, err)
		}
	}
	e := emptied(t)
	l := Loader{Endpoint: e, Tools: postgres.Tools{Dir: "/nowhere"}, Runner: scratchtest.Runner(), Only: []int{}}
	if _, err := l.Load(t.Context(), Data, bytes.NewReader(archives["many"])); err != nil {
		t.Fatal(err)
	}
	if got := scratchtest.Query(t, e, "SELECT count(*) FROM many"); got != "0" {
		t.Errorf("%s rows of a table that was not wanted", got)
	}
}

// pieces hands data out in pieces of one size.
type pieces struct {
	data []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.data)
	p.data = p.data[n:]
	return n, nil
}

// Promise: what breaks while rows are copied has its reason and its table, is
// judged rightly, and leaves no half of a table.
func TestCopyRowsFails(t *testing.T) {
	t.Parallel()
	archives, _ := shares(t, scratchtest.Database(t, copied))
	data := archives["many"]
	row := bytes.Index(data, []byte("49999\trow"))
	if row < 0 {
		t.Fatal("there is no row to break")
	}
	changed := bytes.Clone(data)
	changed[row] = 'x'
	for _, c := range []struct {
		name    string
		change  string // of the target
		r       io.Reader
		is      error
		says    string
		refused bool
	}{
		{"broken", "", io.MultiReader(bytes.NewReader(data[:row]), broken{strings.NewReader("")}), errBroken, "", false},
		{"broken at the end", "", broken{bytes.NewReader(data)}, errBroken, "", false},
		{"cut", "", bytes.NewReader(data[:row]), io.ErrUnexpectedEOF, "", false},
		{"cut between blocks", "", bytes.NewReader(data[:len(data)-40]), nil, "", true},
		{"more", "", io.MultiReader(bytes.NewReader(data), strings.NewReader("x")), ErrArchive, "bytes after the last data block", true},
		{"a bad value", "", bytes.NewReader(changed), nil, `load "public"."many": ERROR: invalid input syntax for type integer: "x9999"`, true},
		{"no such table", "DROP TABLE many", bytes.NewReader(data), nil, `load "public"."many": ERROR: relation "public.many" does not exist`, true},
		{"session ended", "", &killer{t: t, r: bytes.NewReader(data), at: row}, nil, "terminating connection", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			e := emptied(t)
			if c.change != "" {
				scratchtest.Exec(t, e, c.change)
			}
			if k, ok := c.r.(*killer); ok {
				k.e = e
			}
			l := Loader{Endpoint: e, Tools: tools(t), Runner: scratchtest.Runner()}
			_, err := l.Load(t.Context(), Data, c.r)
			if err == nil || c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
			if c.name != "cut" && c.name != "cut between blocks" && Refused(err) != c.refused {
				t.Errorf("refused %v: %v", Refused(err), err)
			}
			if c.change == "" && c.name != "more" && c.name != "broken at the end" && c.name != "cut between blocks" {
				if got := scratchtest.Query(t, e, "SELECT count(*) FROM many"); got != "0" {
					t.Errorf("%s rows of half a table", got)
				}
			}
		})
	}
}

// killer ends the sessions of a database when it has been read so far.
type killer struct {
	t  *testing.T
	e  *postgres.Endpoint
	r  io.Reader
	at int
}

func (k *killer) Read(p []byte) (int, error) {
	n, err := k.r.Read(p[:min(len(p), 64<<10)])
	if before := k.at; before > 0 {
		if k.at -= n; k.at <= 0 {
			scratchtest.Exec(k.t, scratchtest.Admin(k.t), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "+postgres.QuoteLiteral(k.e.Database()))
		}
	}
	return n, err
}
