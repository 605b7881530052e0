package maintain

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// as is the endpoint of another role for the database of e, on whichever server.
func as(t *testing.T, e *postgres.Endpoint, role string) *postgres.Endpoint {
	t.Helper()
	params, err := postgres.ParseConninfo(e.Conninfo())
	if err != nil {
		t.Fatal(err)
	}
	other, err := postgres.Resolve(t.Context(), postgres.Target{URL: params.With("user", role).String()})
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// Promise: a role that owns half of the tables does those, and names each of the
// others with the statement that mends it; with that statement the next run does
// them too. The server itself would only warn, in its own language.
func TestOwnerOfHalf(t *testing.T) {
	scratchtest.EachMajor(t, func(t *testing.T, major int, e *postgres.Endpoint) {
		role := scratchtest.Role(t, e, "LOGIN")
		keeper := scratchtest.Role(t, e, "NOLOGIN")
		scratchtest.Exec(t, e, application, `ALTER TABLE document OWNER TO `+role, `ALTER TABLE "Order" OWNER TO `+keeper)
		for _, action := range []Action{Vacuum, Full, Reindex, Analyze} {
			o := options(as(t, e, role))
			o.Action, o.Force = action, true
			r := must(t, o)
			wantOutcome(t, r, "public.document", Done)
			if len(r.Tables) != 1 {
				t.Errorf("%s: %d tables were done", action, len(r.Tables))
			}
			want := fmt.Sprintf("public.Order is left: %s may not %s it: it belongs to %s\nGRANT ", role, action.verb(), keeper)
			mend := fmt.Sprintf(`"%s" TO "%s";`, keeper, role)
			if major >= 17 {
				mend = fmt.Sprintf(`MAINTAIN ON TABLE "public"."Order" TO "%s";`, role)
			}
			if all := strings.Join(r.Warnings(), "\n"); !strings.Contains(all, want+mend) {
				t.Errorf("%s: warnings %q\nlack %q", action, all, want+mend)
			}
		}
		for _, l := range planOf(t, options(as(t, e, role))).Left {
			if l.Table.Table == "Order" {
				scratchtest.Exec(t, e, l.Remedy)
			}
		}
		for _, action := range []Action{Vacuum, Reindex} {
			o := options(as(t, e, role))
			o.Action, o.Schemas, o.Tables = action, nil, []string{`"Order"`}
			wantOutcome(t, must(t, o), "public.Order", Done)
		}
	})
}

// Promise: a role without any right does nothing, and that is no success.
func TestNoRights(t *testing.T) {
	e := scratchtest.Database(t, application)
	role := scratchtest.Role(t, e, "LOGIN")
	r := must(t, options(as(t, e, role)))
	if len(r.Tables) != 0 || len(r.Warnings()) != len(ours)+1 {
		t.Errorf("%d tables were done; warnings %q", len(r.Tables), r.Warnings())
	}
	// Of the whole database the catalog is nothing that such a role is blamed for.
	o := options(as(t, e, role))
	o.Schemas = nil
	for _, l := range planOf(t, o).Left {
		if l.System {
			t.Errorf("%s is named", l.Name())
		}
	}
}

// Promise: rights that are lost between the plan and the work are told as such.
func TestRightsLostMeanwhile(t *testing.T) {
	e := scratchtest.Database(t, application)
	role := scratchtest.Role(t, e, "LOGIN")
	for _, action := range []Action{Vacuum, Analyze, Full, Reindex} {
		scratchtest.Exec(t, e, `ALTER TABLE "Order" OWNER TO `+role)
		o := options(as(t, e, role))
		o.Action, o.Force = action, true
		o.step = func(string) { scratchtest.Exec(t, e, `ALTER TABLE "Order" OWNER TO postgres`) }
		got := wantOutcome(t, must(t, o), "public.Order", Skipped)
		if got.Remedy == "" || !strings.Contains(got.Why, role+" may not "+action.verb()+" it") {
			t.Errorf("%s: %s / %s", action, got.Why, got.Remedy)
		}
	}
}

// Promise: a table that is looked at again, alone, is told as it is among all.
func TestOneOfAll(t *testing.T) {
	scratchtest.EachMajor(t, func(t *testing.T, _ int, e *postgres.Endpoint) {
		scratchtest.Exec(t, e, application)
		conn := scratchtest.Open(t, e)
		server, err := postgres.Facts(t.Context(), conn)
		if err != nil {
			t.Fatal(err)
		}
		all, err := readTables(t.Context(), conn, server.Version, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, table := range all {
			if table.Schema != "public" {
				continue
			}
			one, err := readTables(t.Context(), conn, server.Version, []int64{int64(table.OID)})
			if err != nil || len(one) != 1 {
				t.Fatalf("%d: %v", len(one), err)
			}
			// The server may hear of rows that the last session wrote between both.
			for _, t := range []*Table{&table, &one[0]} {
				t.Live, t.Dead, t.Modified = 0, 0, 0
			}
			if one[0] != table {
				t.Errorf("%+v, is %+v: %v", table, one, err)
			}
		}
		if none, err := readTables(t.Context(), conn, server.Version, []int64{}); err != nil || len(none) > 0 {
			t.Errorf("%d: %v", len(none), err)
		}
	})
}

// Promise: what does not exist is an error, and what cannot be vacuumed is not
// taken for done.
func TestScope(t *testing.T) {
	e := scratchtest.Database(t, application, `CREATE SCHEMA other`, `CREATE TABLE other.thing (n int)`,
		`CREATE EXTENSION postgres_fdw`, `CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw`, `CREATE FOREIGN TABLE far_away (n int) SERVER far`)
	for _, o := range []Options{{Tables: []string{"nothing"}}, {Tables: []string{"a b c"}}, {Tables: []string{"latest"}}, {Schemas: []string{"Nothing"}}} {
		o.Endpoint = e
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q %q: %v", o.Tables, o.Schemas, err)
		}
	}
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Tables: []string{"thing"}}, "other.thing"},
		{Options{Tables: []string{"order"}}, `public."Order"`},
		{Options{Tables: []string{"public.documnet"}}, "public.document"},
		{Options{Tables: []string{"othr.thing"}}, "other.thing"},
		{Options{Schemas: []string{"Other"}}, "other"},
		{Options{Tables: []string{"quite_another_name"}}, ""},
	} {
		c.o.Endpoint = e
		var missing *NotFoundError
		if _, err := MakePlan(t.Context(), c.o); !errors.As(err, &missing) || missing.Near != c.want {
			t.Errorf("%q %q: %v, not %q", c.o.Tables, c.o.Schemas, err, c.want)
		}
	}
	for _, c := range []struct {
		o    Options
		want []string
	}{
		{Options{Schemas: []string{"other"}}, []string{"other.thing"}},
		{Options{Tables: []string{`"Order"`, "other.thing"}}, []string{"other.thing", "public.Order"}},
		{Options{Tables: []string{"event"}}, []string{"public.event", "public.event_1", "public.event_2"}},
		{Options{Tables: []string{"event_1"}}, []string{"public.event_1"}},
		{Options{Tables: []string{"event"}, Action: Reindex}, []string{"public.event_1", "public.event_2"}},
		{Options{Tables: []string{"event"}, Action: Analyze}, []string{"public.event"}},
		{Options{Tables: []string{"far_away"}}, nil},
		{Options{Tables: []string{"far_away"}, Action: Analyze}, []string{"public.far_away"}},
	} {
		c.o.Endpoint = e
		if got := names(planOf(t, c.o).Items); !sameSet(got, c.want) {
			t.Errorf("%+v: %q, want %q", c.o.Tables, got, c.want)
		}
	}
	// Neither the temporary tables of others nor, where space is written anew, the catalog.
	defer holding(t, e, "CREATE TEMPORARY TABLE mine AS SELECT 1 AS n")()
	for _, action := range []Action{Vacuum, Full, Reindex, Analyze} {
		catalog := false
		for _, item := range planOf(t, Options{Endpoint: e, Action: action}).Items {
			catalog = catalog || item.System
			if strings.HasPrefix(item.Schema, "pg_temp") || item.Kind == 'f' {
				t.Errorf("%s of %s", action, item.Name())
			}
		}
		if catalog != (action == Vacuum || action == Analyze) {
			t.Errorf("%s: the catalog is in it: %t", action, catalog)
		}
	}
}
