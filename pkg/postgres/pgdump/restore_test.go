package pgdump

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// broken gives some bytes and then an error that is not the end.
type broken struct{ r io.Reader }

var errBroken = errors.New("the stream is broken")

func (b broken) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = errBroken
	}
	return n, err
}

// Promise: a load stops at the first error and says it; a stream that turns out
// broken at its very end fails the load, although pg_restore was content.
func TestLoadErrors(t *testing.T) {
	t.Parallel()
	d := dump(t, tablesOnly(t, subject), catalog.FingerprintCounts)
	for _, c := range []struct {
		name    string
		r       io.Reader
		is      error
		says    string
		refused bool
	}{
		{"whole", bytes.NewReader(d.parts[PreData]), nil, "", false},
		{"broken at the end", broken{bytes.NewReader(d.parts[PreData])}, errBroken, "", false},
		// Of this pg_restore reads only the beginning.
		{"broken far behind", io.MultiReader(bytes.NewReader(d.parts[PreData]), broken{bytes.NewReader(make([]byte, 4<<20))}), errBroken, "", false},
		{"empty", strings.NewReader(""), nil, "end of file", true},
		{"cut", bytes.NewReader(d.parts[PreData][:200]), nil, "pg_restore", true},
		{"no schema for its rows", bytes.NewReader(d.parts[Data]), nil, `relation "public.a" does not exist`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := Loader{Endpoint: tablesOnly(t), Tools: tools(t), Runner: scratchtest.Runner()}
			_, err := l.Load(t.Context(), PreData, c.r)
			switch {
			case c.is == nil && c.says == "":
				if err != nil {
					t.Error(err)
				}
			case c.is != nil:
				if !errors.Is(err, c.is) {
					t.Errorf("got %v", err)
				}
			case err == nil || !strings.Contains(err.Error(), c.says):
				t.Errorf("got %v", err)
			}
			if Refused(err) != c.refused {
				t.Errorf("refused %v: %v", Refused(err), err)
			}
		})
	}
}

// Promise: an archive of which nobody knows whether it is good is not called
// refused: the server went away, the program is missing, the run was ended.
func TestRefused(t *testing.T) {
	t.Parallel()
	d := dump(t, tablesOnly(t, subject), catalog.FingerprintCounts)
	ended, end := context.WithCancel(t.Context())
	end()
	for name, c := range map[string]struct {
		ctx context.Context
		l   Loader
	}{
		"no such database": {t.Context(), Loader{Endpoint: scratchtest.Admin(t).WithDatabase("nowhere"), Tools: tools(t), Runner: scratchtest.Runner()}},
		"no program":       {t.Context(), Loader{Endpoint: scratchtest.Admin(t), Tools: postgres.Tools{Dir: "/nowhere"}, Runner: scratchtest.Runner()}},
		"ended":            {ended, Loader{Endpoint: scratchtest.Admin(t), Tools: tools(t), Runner: scratchtest.Runner()}},
	} {
		for _, part := range []Part{PreData, Data} {
			if part == Data && name == "no program" {
				continue // rows need none
			}
			_, err := c.l.Load(c.ctx, part, bytes.NewReader(d.parts[part]))
			if err == nil || Refused(err) {
				t.Errorf("%s: %s: refused %v: %v", name, part, Refused(err), err)
			}
		}
	}
}

// Promise: Elsewhere leaves out tablespaces and subscriptions, which a drill must not follow.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	dir := tablespaceDir(t)
	space := scratchtest.Name("space")
	admin := scratchtest.Admin(t)
	scratchtest.Exec(t, admin, "CREATE TABLESPACE "+space+" LOCATION "+postgres.QuoteLiteral(dir))
	e := scratchtest.Database(t, "CREATE TABLE a (id int) TABLESPACE "+space,
		"CREATE SUBSCRIPTION sub CONNECTION 'host=/nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE)")
	d := dump(t, e, catalog.FingerprintCounts)
	toc, err := Inspect(bytes.NewReader(d.parts[PreData]))
	if err != nil {
		t.Fatal(err)
	}
	n := NeedsOf(toc, Properties{Owner: "postgres"})
	if !slices.Equal(n.Tablespaces, []string{space}) {
		t.Errorf("tablespaces %q", n.Tablespaces)
	}
	target := scratchtest.Database(t)
	scratchtest.Exec(t, e, "DROP SUBSCRIPTION sub", "DROP TABLE a")
	scratchtest.Exec(t, admin, "DROP TABLESPACE "+space)
	var missing *MissingError
	if err := n.Check(t.Context(), admin, false); !errors.As(err, &missing) || !slices.Equal(missing.Tablespaces, []string{space}) {
		t.Errorf("got %v", err)
	}
	if err := n.Check(t.Context(), admin, true); err != nil {
		t.Error(err)
	}
	l := Loader{Endpoint: target, Tools: tools(t), Runner: scratchtest.Runner(), Elsewhere: true}
	for _, part := range []Part{PreData, Data, PostData} {
		if _, err := l.Load(t.Context(), part, bytes.NewReader(d.parts[part])); err != nil {
			t.Error(err)
		}
	}
	if got := scratchtest.Query(t, target, "SELECT count(*) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"); got != "0" {
		t.Errorf("%s subscriptions", got)
	}
}

// tablespaceDir is an empty directory of the server's user.
func tablespaceDir(t testing.TB) string {
	t.Helper()
	c := scratchtest.Server(t)
	dir, err := os.MkdirTemp(filepath.Dir(c.SocketDir), "space-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if c.User != nil {
		if err := os.Chown(dir, int(c.User.UID), int(c.User.GID)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
