package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/networktest"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

// stalls are moments of commands at which a connection goes dead without a word.
var stalls = []struct {
	name, command string
	harm          networktest.Harm
}{
	{"the first connection", "backup", networktest.Harm{}},
	{"guard", "backup", networktest.Harm{Say: "pg_export_snapshot"}},
	{"rows", "backup", networktest.Harm{Say: "COPY public.thing", After: 100_000}},
	{"the first connection", "into", networktest.Harm{}},
	{"rows", "into", networktest.Harm{Say: "COPY public.thing"}},
	{"index", "into", networktest.Harm{Say: "CREATE INDEX"}},
	{"rows", "service", networktest.Harm{Say: "COPY public.thing"}},
	{"names", "service", networktest.Harm{Say: "RENAME TO"}},
}

// Promise: --timeout ends a backup, a restore beside and one into service whose
// connection has stalled, with code 2 and an error that says that the time was
// over. No set, draft or database is left of it; the live database is the one
// that it was, and the next run works.
func TestTimeoutOfStalled(t *testing.T) {
	t.Parallel()
	for _, s := range stalls {
		t.Run(s.command+" "+s.name, func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t, "CREATE TABLE thing AS SELECT i, md5(i::text) AS text FROM generate_series(1, 20000) i; CREATE INDEX ON thing (text)")
			beside := i.live + "_beside"
			i.run(nil, []int{0}, "backup", "db")
			args := map[string][]string{
				"backup": {"backup", "db"}, "into": {"restore", "db", "--into", beside}, "service": {"restore", "db", "--yes"},
			}[s.command]
			before := i.entries()
			oid := "SELECT string_agg(datname || ' ' || oid, ' ') FROM pg_database WHERE starts_with(datname, " + postgres.QuoteLiteral(i.live) + ")"
			databases := scratchtest.Query(t, i.admin, oid)
			n := i.timedOut(s.harm, args)
			if got := scratchtest.Query(t, i.admin, oid); got != databases {
				t.Errorf("databases are %s, were %s", got, databases)
			}
			n.End() // the sessions of the server that nobody could reach end now
			i.whole("20000")
			if got := i.entries(); got != before {
				t.Errorf("the group holds %s, held %s", got, before)
			}
			i.run(nil, []int{0}, args...)
		})
	}
}

// timedOut runs a command over a network that does such harm, and gives it time
// enough to come as far as that, however busy the machine.
func (i *installation) timedOut(harm networktest.Harm, args []string) *networktest.Network {
	i.t.Helper()
	harm.How = networktest.Stall
	for limit := 2 * time.Second; limit < patience; limit *= 2 {
		n := networktest.Start(i.t, scratchtest.Server(i.t), harm)
		direct, err := os.ReadFile(filepath.Join(i.place, "forgectl.yaml"))
		i.must(err)
		lines := strings.Split(string(direct), "\n")
		for k, line := range lines {
			if strings.HasPrefix(line, "database: ") {
				lines[k] = "database: {name: " + i.live + `, url: "` + n.URL(scratch.Superuser, i.live) + `", admin_url: "` + n.URL(scratch.Superuser, "postgres") + `"}`
			}
		}
		through := filepath.Join(i.place, "through.yaml")
		i.must(os.WriteFile(through, []byte(strings.Join(lines, "\n")), 0o644))
		s := i.start(nil, append([]string{"--config", through, "--timeout", limit.String()}, args...)...)
		never := time.AfterFunc(limit+patience, func() { _ = s.Process.Kill() })
		code := s.code()
		never.Stop()
		i.ended(s, code, exitCritical)
		if said := s.err.String(); !strings.Contains(said, "timed out after "+limit.String()) || !strings.Contains(said, "hint: a longer --timeout") {
			i.t.Errorf("it says %q", said)
		}
		if n.Hit() || i.t.Failed() {
			return n
		}
		n.End()
	}
	i.t.Fatal("no connection was hit")
	return nil
}

// entries are the names in the group: sets, and drafts of runs.
func (i *installation) entries() string {
	entries, err := os.ReadDir(i.group)
	i.must(err)
	var names []string
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") || strings.HasPrefix(e.Name(), ".partial-") {
			names = append(names, e.Name())
		}
	}
	return strings.Join(names, " ")
}
