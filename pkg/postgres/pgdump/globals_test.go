package pgdump

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
)

// Promise: the globals name every role, hold no password unless asked, and psql
// reads them; a role that may enter only its own database can write them.
func TestGlobals(t *testing.T) {
	t.Parallel()
	e := scratchtest.NamedDatabase(t, scratchtest.Name("glob=al's"))
	role := scratchtest.Role(t, e, "LOGIN PASSWORD 'sesame'")
	odd := scratchtest.Name(`odd "role"` + "\n")
	scratchtest.Exec(t, e, "CREATE ROLE "+postgres.QuoteIdent(odd))
	t.Cleanup(func() { dropRole(t, odd) })
	for _, passwords := range []bool{false, true} {
		g, ctx := openGuard(t, e, GuardOptions{})
		var b bytes.Buffer
		said, err := dumper(t, e).Globals(ctx, g, passwords, &b)
		if err != nil || len(said) > 0 {
			t.Fatal(said, err)
		}
		head, err := ReadGlobals(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if head.Passwords != passwords || !slices.Contains(head.Roles, Role{Name: role, Login: true}) || !slices.Contains(head.Roles, Role{Name: odd}) ||
			!slices.Contains(head.Roles, Role{Name: "postgres", Login: true, Superuser: true}) {
			t.Errorf("head %+v", head)
		}
		if strings.Contains(b.String(), "SCRAM-SHA-256") != passwords || !strings.Contains(b.String(), "CREATE ROLE "+role) {
			t.Errorf("passwords %v:\n%s", passwords, b.String())
		}
	}

	// Neither postgres nor template1 is open to this one.
	own := scratchtest.Role(t, e, "LOGIN")
	as := scratchtest.Connect(t, scratchtest.Server(t), e.Database(), own)
	d := dumper(t, as)
	d.Runner = witness{Runner: scratchtest.Runner(), check: func(c proc.Cmd) {
		if want := `--database=dbname='` + strings.ReplaceAll(e.Database(), "'", `\'`) + `'`; !slices.Contains(c.Args, want) {
			t.Errorf("%q is not in %q", want, c.Args)
		}
	}}
	g, ctx := openGuard(t, as, GuardOptions{})
	if _, err := d.Globals(ctx, g, false, io.Discard); err != nil {
		t.Error(err)
	}
	if _, err := d.Globals(ctx, g, true, io.Discard); err == nil || !strings.Contains(err.Error(), "password hashes need a superuser") {
		t.Errorf("got %v", err)
	}
}

// witness looks at what is run.
type witness struct {
	proc.Runner
	check func(proc.Cmd)
}

func (w witness) Run(ctx context.Context, c proc.Cmd) error {
	w.check(c)
	return w.Runner.Run(ctx, c)
}

func dropRole(t testing.TB, name string) {
	conn, err := scratchtest.Admin(unended{t}).Connect(context.Background())
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), "DROP ROLE "+postgres.QuoteIdent(name)); err != nil {
		t.Error(err)
	}
}

// unended is a test whose context has ended already.
type unended struct{ testing.TB }

func (unended) Context() context.Context { return context.Background() }

// Promise: heads of the SQL files that are cut, empty or something else are an error.
func TestReadHead(t *testing.T) {
	for _, s := range []string{"", "\n", "SELECT 1;\n", "-- forgectl globals {}", "-- forgectl globals {\n", "-- forgectl globals []\n", "-- forgectl database {}\n"} {
		if _, err := ReadGlobals(strings.NewReader(s)); !errors.Is(err, ErrArchive) {
			t.Errorf("%q: %v", s, err)
		}
	}
	if _, err := ReadProperties(broken{strings.NewReader("-- forgectl")}); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	g, err := ReadGlobals(strings.NewReader("-- forgectl globals {\"roles\":[{\"name\":\"a\"}]}\nSELECT 1;\n"))
	if err != nil || len(g.Roles) != 1 || g.Roles[0].Name != "a" {
		t.Errorf("%+v, %v", g, err)
	}
}
