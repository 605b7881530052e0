package backup_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/bmad-forge/forgectl/pkg/artifact"
	"github.com/bmad-forge/forgectl/pkg/backup"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/seal/sealtest"
)

// nothingLeft fails when the repository holds any file.
func nothingLeft(t testing.TB, dir string) {
	t.Helper()
	if left := files(t, dir); len(left) > 0 {
		t.Errorf("left in the repository: %q", left)
	}
}

// witness is the real runner, which remembers what it ran.
func witness(t testing.TB) *proctest.Runner {
	t.Helper()
	return &proctest.Runner{T: t, Next: scratchtest.Runner()}
}

// dumped are the dump programs that were started, but for the question of their version.
func dumped(r *proctest.Runner) []string {
	return slices.DeleteFunc(r.Lines(), func(line string) bool { return strings.HasSuffix(line, " --version") })
}

// Promise: what cannot work is found before anything is dumped, or even
// locked, and leaves nothing in the repository.
func TestRefusedBeforeDump(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small, "CREATE TABLE hidden AS SELECT 1 AS i", "SELECT lo_from_bytea(0, 'x')",
		"CREATE TABLE secured AS SELECT 1 AS i", "ALTER TABLE secured ENABLE ROW LEVEL SECURITY")
	admin := scratchtest.Admin(t)
	none := scratchtest.Role(t, admin, "LOGIN")
	reader := scratchtest.Role(t, admin, "LOGIN")
	scratchtest.Exec(t, admin, "GRANT pg_read_all_data TO "+reader)
	as := func(role string) *postgres.Endpoint {
		return scratchtest.Connect(t, scratchtest.Server(t), e.Database(), role)
	}
	for _, tt := range []struct {
		name   string
		change func(*backup.DatabaseOptions)
		check  func(error) bool
		says   []string
	}{
		{"a role without any right", func(o *backup.DatabaseOptions) { o.Endpoint = as(none) }, isRights, []string{"cannot read", none}},
		{"rows and large objects of others", func(o *backup.DatabaseOptions) { o.Endpoint = as(reader) }, isRights, []string{"row security of public.secured", "1 large objects"}},
		{"no such database", func(o *backup.DatabaseOptions) { o.Endpoint = admin.WithDatabase("no such thing") }, func(err error) bool {
			var c *postgres.ConnectError
			return errors.As(err, &c)
		}, []string{"no such thing"}},
		{"no fitting programs", func(o *backup.DatabaseOptions) { o.Finder.Debian = t.TempDir() + "/*" }, func(err error) bool { return errors.Is(err, postgres.ErrNoTools) }, []string{"pg_dump"}},
		{"too little space", func(o *backup.DatabaseOptions) {
			o.Free = func(context.Context) (int64, error) { return 1 << 20, nil }
		}, func(err error) bool {
			var s *backup.SpaceError
			return errors.As(err, &s) && s.Free == 1<<20 && s.Need > s.Free
		}, []string{"1 MB free"}},
		{"unknown fingerprint", func(o *backup.DatabaseOptions) { o.Fingerprint = "most" }, func(error) bool { return true }, []string{`"most"`}},
		{"unknown read back", func(o *backup.DatabaseOptions) { o.Readback = "look" }, func(error) bool { return true }, []string{`"look"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, dir := repository(t)
			o := options(e, c)
			run := witness(t)
			o.Runner, o.Finder.Runner = run, run
			locked := false
			o.Step = func(name string) { locked = locked || name == "locked" }
			tt.change(&o)
			_, err := backup.Database(t.Context(), o)
			if err == nil || !tt.check(err) {
				t.Fatalf("got %v", err)
			}
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not name %q", err, s)
				}
			}
			if lines := dumped(run); len(lines) > 0 || locked {
				t.Errorf("ran %q, locked tables: %v", lines, locked)
			}
			nothingLeft(t, dir)
		})
	}
}

func isRights(err error) bool {
	var r *pgdump.RightsError
	return errors.As(err, &r) && errors.Is(err, pgdump.ErrRights) && len(r.Remedies()) > 0
}

// Promise: the last good set says how much space is needed; where nobody knows
// how much there is, nobody is stopped.
func TestSpace(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small)
	c, _ := repository(t)
	o := options(e, c)
	o.Free = func(context.Context) (int64, error) { return 0, errors.New("not known here") }
	r, err := backup.Database(t.Context(), o)
	must(t, err)
	need := r.Set.Bytes + r.Set.Bytes/4
	o.Free = func(context.Context) (int64, error) { return need - 1, nil }
	var space *backup.SpaceError
	if _, err := backup.Database(t.Context(), o); !errors.As(err, &space) || space.Need != need {
		t.Errorf("got %v", err)
	}
	o.Free = func(context.Context) (int64, error) { return need, nil }
	_, err = backup.Database(t.Context(), o)
	must(t, err)
}

// Promise: what the role cannot see is named in the set, and the set is whole otherwise.
func TestIncomplete(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small, `CREATE FOREIGN DATA WRAPPER w; CREATE SERVER far FOREIGN DATA WRAPPER w;
		CREATE USER MAPPING FOR postgres SERVER far OPTIONS (password 'remote-secret');
		CREATE PUBLICATION p FOR TABLE a_emptied`)
	t.Cleanup(func() { scratchtest.Exec(background{t}, e, "DROP SUBSCRIPTION sub") })
	scratchtest.Exec(t, e, "CREATE SUBSCRIPTION sub CONNECTION 'dbname=nowhere' PUBLICATION p WITH (connect = false, slot_name = NONE, create_slot = false, enabled = false)")
	admin := scratchtest.Admin(t)
	reader := scratchtest.Role(t, admin, "LOGIN")
	scratchtest.Exec(t, admin, "GRANT pg_read_all_data TO "+reader)
	c, _ := repository(t)
	r, err := backup.Database(t.Context(), options(scratchtest.Connect(t, scratchtest.Server(t), e.Database(), reader), c))
	must(t, err)
	got := strings.Join(r.Set.Manifest.Incomplete, "\n")
	for _, want := range []string{"subscriptions not dumped because current user is not a superuser", "options of the user mapping of postgres for server far"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("%q is not named once in\n%s", want, got)
		}
	}
	if len(r.Set.Manifest.Incomplete) != 2 || len(r.Warnings) > 0 {
		t.Errorf("incomplete %q, warnings %q", r.Set.Manifest.Incomplete, r.Warnings)
	}
	drill(t, c, r.Set, nil)

	o := options(e, c) // a superuser sees all
	o.Seal.Recipients = []*seal.Key{newPair(t, "ops").public}
	r, err = backup.Database(t.Context(), o)
	must(t, err)
	if len(r.Set.Manifest.Incomplete) > 0 {
		t.Errorf("incomplete for a superuser: %q", r.Set.Manifest.Incomplete)
	}
}

// Promise: a set that not all recipients could open is not begun: the keys are
// looked at before the server is contacted.
func TestKeys(t *testing.T) {
	t.Parallel()
	good := newPair(t, "good").public
	expiring := func(c *packet.Config) { c.KeyLifetimeSecs = 24 * 3600 }
	expired, _ := sealtest.Serialize(t, sealtest.Entity(t, "expired", expiring))
	revoked := sealtest.Entity(t, "revoked", nil)
	must(t, revoked.Revoke(packet.KeyCompromised, "lost", nil))
	revokedKey, _ := sealtest.Serialize(t, revoked)
	signOnly := sealtest.Entity(t, "signonly", nil)
	signOnly.Subkeys = nil
	signKey, _ := sealtest.Serialize(t, signOnly)
	// Nobody listens there: whoever tries to connect says something else.
	nowhere, err := postgres.Resolve(t.Context(), postgres.Target{URL: "host='" + t.TempDir() + "' user=nobody dbname=forge"})
	must(t, err)
	tomorrow := func() time.Time { return time.Now().Add(25 * time.Hour) }
	for _, tt := range []struct {
		name       string
		recipients []*seal.Key
		required   bool
		now        func() time.Time
		want       error
	}{
		{"nobody", nil, true, nil, backup.ErrPlain},
		{"expired", []*seal.Key{good, sealtest.Key(t, expired)}, true, tomorrow, seal.ErrKeyExpired},
		{"revoked", []*seal.Key{good, sealtest.Key(t, revokedKey)}, false, nil, seal.ErrKeyRevoked},
		{"for signing only", []*seal.Key{sealtest.Key(t, signKey), good}, false, nil, seal.ErrKeyCannotEncrypt},
	} {
		c, dir := repository(t)
		o := options(nowhere, c)
		run := witness(t)
		o.Runner, o.Finder.Runner = run, run
		o.Seal.Recipients, o.Seal.Now, o.RequireSealed = tt.recipients, tt.now, tt.required
		_, err := backup.Database(t.Context(), o)
		var connect *postgres.ConnectError
		if !errors.Is(err, tt.want) || errors.As(err, &connect) || len(run.Lines()) > 0 {
			t.Errorf("%s: %v, ran %q", tt.name, err, run.Lines())
		}
		nothingLeft(t, dir)
	}
	// A key that expires tomorrow does for today: the server is asked next.
	c, _ := repository(t)
	o := options(nowhere, c)
	o.Seal.Recipients = []*seal.Key{sealtest.Key(t, expired)}
	var connect *postgres.ConnectError
	if _, err := backup.Database(t.Context(), o); !errors.As(err, &connect) {
		t.Errorf("a valid key: %v", err)
	}
}

// Promise: a run that is told to stop publishes nothing and leaves nothing,
// whenever that happens; after the last moment the set is there. The next run
// works.
func TestCancelled(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small)
	why := errors.New("told to stop")
	for _, name := range steps {
		t.Run(name, func(t *testing.T) {
			c, dir := repository(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			step, happened := at(t, name, func() { cancel(why) })
			o := options(e, c)
			o.Step = step
			r, err := backup.Database(ctx, o)
			happened()
			if name == "published" {
				must(t, err)
				if ok, why := r.Set.Good(); !ok {
					t.Error(why)
				}
				return
			}
			if !errors.Is(err, why) {
				t.Errorf("got %v", err)
			}
			nothingLeft(t, dir)
			r, err = backup.Database(t.Context(), options(e, c))
			must(t, err)
			if len(r.Removed)+len(r.Warnings) > 0 {
				t.Errorf("the next run removed %q and warns %q", r.Removed, r.Warnings)
			}
		})
	}
	held := "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = " + postgres.QuoteLiteral(e.Database())
	for deadline := time.Now().Add(time.Minute); scratchtest.Query(t, scratchtest.Admin(t), held) != "0"; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) { // a busy server notices late that a client has gone
			t.Fatal("sessions still hold a transaction")
		}
	}
}

// Promise: a dump program that is killed, or that is running when the run is
// told to stop, fails the run: nothing is published, nothing left, and no
// program goes on. Likewise for a guard that dies.
func TestKilledPrograms(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small)
	why := errors.New("told to stop")
	for part, says := range map[string]string{
		"--section=pre-data":  "dump pre-data: pg_dump: ended by signal: killed",
		"--section=data":      "dump data: pg_dump: ended by signal: killed",
		"--section=post-data": "dump post-data: pg_dump: ended by signal: killed",
		"--globals-only":      "dump globals: pg_dumpall: ended by signal: killed",
	} {
		for _, how := range []string{"killed", "stopped"} {
			t.Run(strings.TrimLeft(part, "-")+" "+how, func(t *testing.T) {
				t.Parallel()
				c, dir := repository(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				var mu sync.Mutex
				var pids []int
				hit := false
				o := options(e, c)
				o.Runner = held{scratchtest.Runner(), func(c proc.Cmd, pid int) {
					mu.Lock()
					defer mu.Unlock()
					pids = append(pids, pid)
					switch {
					case !slices.Contains(c.Args, part):
					case how == "killed":
						hit = true
						if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
							t.Error(err)
						}
					default:
						hit = true
						cancel(why)
					}
				}}
				o.Finder = heldTools(t, o.Runner)
				_, err := backup.Database(ctx, o)
				var failed *proc.Error
				switch {
				case !hit:
					t.Fatal("the program was not run")
				case how == "stopped" && !errors.Is(err, why):
					t.Errorf("got %v", err)
				case how == "killed" && (!errors.As(err, &failed) || failed.Signal != syscall.SIGKILL || !strings.Contains(err.Error(), says)):
					t.Errorf("got %v, want %q", err, says)
				}
				nothingLeft(t, dir)
				for _, pid := range pids {
					if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
						t.Errorf("process %d is still there: %v", pid, err)
					}
				}
			})
		}
	}
	t.Run("guard lost", func(t *testing.T) {
		t.Parallel()
		other := scratchtest.Database(t, small)
		c, dir := repository(t)
		step, happened := at(t, "before close", func() {
			scratchtest.Query(t, scratchtest.Admin(t), "SELECT bool_and(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE datname = "+postgres.QuoteLiteral(other.Database()))
		})
		o := options(other, c)
		o.Step = step
		_, err := backup.Database(t.Context(), o)
		happened()
		if !errors.Is(err, pgdump.ErrGuardLost) {
			t.Errorf("got %v", err)
		}
		nothingLeft(t, dir)
	})
}

// Promise: what a dead run left is removed by the next one, which names it;
// also when that one fails.
func TestSweep(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small)
	c, dir := repository(t)
	leave := func() {
		for _, id := range []string{"20250101T000000Z", "20250102T000000Z"} {
			partial := filepath.Join(dir, group(e).Dir(), ".partial-"+id)
			must(t, os.MkdirAll(partial, 0o700))
			must(t, os.WriteFile(filepath.Join(partial, "20-data.dump.zst"), []byte("half"), 0o600))
		}
	}
	want := []string{e.Database() + "/20250101T000000Z", e.Database() + "/20250102T000000Z"}
	leave()
	o := options(e, c)
	o.Free = func(context.Context) (int64, error) { return 0, nil }
	r, err := backup.Database(t.Context(), o)
	if err == nil || !slices.Equal(r.Removed, want) {
		t.Errorf("removed %q, %v", r.Removed, err)
	}
	nothingLeft(t, dir)
	leave()
	r, err = backup.Database(t.Context(), options(e, c))
	must(t, err)
	if !slices.Equal(r.Removed, want) {
		t.Errorf("removed %q", r.Removed)
	}
	for _, f := range files(t, dir) {
		if strings.Contains(f, "partial") {
			t.Errorf("%s is still there", f)
		}
	}
	sets, err := c.List(t.Context(), group(e))
	must(t, err)
	if len(sets) != 1 {
		t.Errorf("%d sets", len(sets))
	}
}

// Promise: what is on the store is what was written, or the set is not
// published: a file that changes in between is noticed, whichever it is.
func TestReadBack(t *testing.T) {
	t.Parallel()
	e := scratchtest.Database(t, small)
	key := newPair(t, "ops").public
	for i, name := range []string{"RECOVER.md", "00-globals.sql", "05-database.sql", "10-pre-data.dump", "20-data.dump", "30-post-data.dump"} {
		for _, sealed := range []bool{false, true} {
			level := catalog.ReadbackHash
			if sealed == (i%2 == 0) {
				level = catalog.ReadbackDecode
			}
			c, dir := repository(t)
			o := options(e, c)
			o.Readback = level
			file := name
			if sealed {
				o.Seal.Recipients = []*seal.Key{key}
			}
			if name != "RECOVER.md" {
				file += seal.Suffix(sealed)
			}
			step, happened := at(t, "dumped", func() {
				found, _ := filepath.Glob(filepath.Join(dir, group(e).Dir(), ".partial-*", file))
				if len(found) != 1 {
					t.Fatalf("found %q", found)
				}
				flip(t, found[0], -30)
			})
			o.Step = step
			if _, err := backup.Database(t.Context(), o); !errors.Is(err, artifact.ErrReadBack) || !strings.Contains(err.Error(), file) {
				t.Errorf("%s, %s: %v", file, level, err)
			}
			happened()
			nothingLeft(t, dir)
		}
	}
}

// flip turns one bit of a file; a negative place counts from the end.
func flip(t testing.TB, path string, at int) {
	t.Helper()
	data, err := os.ReadFile(path)
	must(t, err)
	if at < 0 {
		at += len(data)
	}
	data[at] ^= 4
	must(t, os.WriteFile(path, data, 0o600))
}
