package backup_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// killEnv makes the test binary back up a database and kill itself at a step.
const killEnv = "BACKUP_TEST_KILL" // <step>|<repository>|<connection string>

func backUpAndDie(spec string) {
	part := strings.SplitN(spec, "|", 3)
	if source, config := strings.CutPrefix(part[2], configKill); config {
		backUpConfigAndDie(part[0], part[1], source)
	}
	ctx := context.Background()
	s, err := local.Open(part[1], local.Options{})
	if err != nil {
		panic(err)
	}
	e, err := postgres.Resolve(ctx, postgres.Target{URL: part[2]})
	if err != nil {
		panic(err)
	}
	o := options(e, catalog.New(s, catalog.Options{}))
	o.Step = proctest.DieAt(part[0])
	_, err = backup.Database(ctx, o)
	fmt.Println("ended", err)
	os.Exit(1)
}

// Promise: a backup that is killed, at whatever step, leaves no set but the one
// that it had published, no program and no session; the next one removes what is
// left, says so, and works.
func TestKilled(t *testing.T) {
	t.Parallel()
	server := scratchtest.Server(t)
	for _, step := range steps {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			e := scratchtest.Database(t, small)
			c, dir := repository(t)
			proctest.Killed(t, fmt.Sprintf("%s=%s|%s|host='%s' port=%d user=postgres dbname=%s", killEnv, step, dir, server.SocketDir, server.Port, e.Database()))
			sessionsEnd(t, e)
			want := 0
			if step == "published" {
				want = 1
			}
			sets, err := c.List(t.Context(), group(e))
			must(t, err)
			if len(sets) != want {
				t.Errorf("%d sets", len(sets))
			}
			for _, set := range sets {
				drill(t, c, set, nil)
			}
			next := catalog.New(storeOf(t, dir), catalog.Options{Now: func() time.Time { return time.Now().Add(time.Minute) }})
			r, err := backup.Database(t.Context(), options(e, next))
			must(t, err)
			if left := step != "published"; left != (len(r.Removed) == 1) || len(r.Warnings) > 0 {
				t.Errorf("the next run removed %q and warns %q", r.Removed, r.Warnings)
			}
			for _, f := range files(t, dir) {
				if strings.Contains(f, "partial") {
					t.Errorf("left: %s", f)
				}
			}
		})
	}
}

func storeOf(t testing.TB, dir string) *local.Store {
	t.Helper()
	s, err := local.Open(dir, local.Options{})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}
