package verify_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/catalog/catalogtest"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/proc/proctest"
	"github.com/bmad-forge/forgectl/pkg/verify"
)

// Promise: a drill loads the set into a server of its own, where nobody but its
// superuser can log in, compares, says how long each stage took, records it and
// leaves nothing; what a killed drill left is removed and named.
func TestDrill(t *testing.T) {
	t.Parallel()
	s := copySet(t, true)
	o := s.options(catalog.LevelDrill)
	left := filepath.Join(o.Scratch.Dir, "forgectl-pg-0123abcd")
	must(t, os.MkdirAll(filepath.Join(left, "data"), 0o700))
	must(t, os.WriteFile(filepath.Join(left, "data", "rows"), []byte("plain data"), 0o600))
	progress := map[string]int64{}
	o.Progress = func(stage string, done, _ int64) { progress[stage] = done }
	looked := false
	o.Step = func(name string) {
		if name != "loaded post-data" {
			return
		}
		looked = true
		e := scratchtest.Connect(t, clusterIn(t, o.Scratch.Dir), "drill", "postgres")
		if got := scratchtest.Query(t, e, "SELECT string_agg(rolname, ' ') FROM pg_roles WHERE rolcanlogin OR rolname !~ '^pg_' AND rolcreaterole"); got != "postgres" {
			t.Errorf("may log in: %s", got)
		}
		if got := scratchtest.Query(t, e, "SELECT string_agg(rolname, ' ') FROM pg_authid WHERE rolpassword IS NOT NULL"); got != "" {
			t.Errorf("have a password: %s", got)
		}
		if got := scratchtest.Query(t, e, "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'event'::regclass"); got != original.role {
			t.Errorf("owner %s instead of %s", got, original.role)
		}
	}
	v, err := verify.Verify(t.Context(), o, s.Set())
	must(t, err)
	var stages []string
	for _, stage := range v.Stages {
		stages = append(stages, stage.Name)
	}
	if want := []string{"checksum", "start server", "pre-data", "data", "post-data", "compare", "analyze"}; !slices.Equal(stages, want) {
		t.Errorf("stages %q", stages)
	}
	if !v.OK || len(v.Warnings) > 0 || !looked || !slices.Equal(v.Removed, []string{left}) {
		t.Errorf("%v, warnings %q, removed %q", v.Err(), v.Warnings, v.Removed)
	}
	if progress["load"] == 0 || progress["compare"] == 0 {
		t.Errorf("progress %v", progress)
	}
	if k := s.Set().LastCheck(catalog.LevelDrill); k == nil || len(k.Stages) != len(stages) {
		t.Errorf("recorded %+v", k)
	}
	empty(t, o.Scratch.Dir)
}

// Promise: a set that does not hold what was counted, or that a healthy server
// refuses, fails its drill, and that is recorded.
func TestDrillFails(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		forge func(*copied)
		is    error
		says  string
	}{
		{"a row less", func(s *copied) {
			s.Forge(func(m *catalog.Manifest) {
				i := slices.IndexFunc(m.Fingerprint.Tables, func(t catalog.Table) bool { return t.Name == "forge_document" })
				m.Fingerprint.Tables[i].Rows++
			})
		}, pgdump.ErrDiffers, `"public"."forge_document" has 2000 rows, not 2001`},
		{"other content", func(s *copied) { s.ForgeArtifact("20-data.dump", true, catalogtest.Replace("note 77\n", "note 78\n")) }, pgdump.ErrDiffers, "other content"},
		{"SQL that no server takes", func(s *copied) {
			s.ForgeArtifact("10-pre-data.dump", true, catalogtest.Replace("CREATE TABLE public.empty_table", "CREATE TABEL public.empty_table"))
		}, nil, "syntax error"},
		{"a reference into nothing", func(s *copied) {
			s.ForgeArtifact("30-post-data.dump", true, catalogtest.Replace("FOREIGN KEY (parent_id) REFERENCES public.forge_document(id)", "FOREIGN KEY (parent_id) REFERENCES public.forge_documens(id)"))
		}, nil, "forge_documens"},
		{"no word of where it came from", func(s *copied) { s.Forge(func(m *catalog.Manifest) { m.Source = nil }) }, catalog.ErrDamaged, "manifest.json"},
		{"no head", func(s *copied) {
			s.ForgeArtifact("05-database.sql", true, catalogtest.Replace("-- forgectl", "-- forge"))
		}, catalog.ErrDamaged, "05-database.sql"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := copySet(t, false)
			tt.forge(s)
			o := s.options(catalog.LevelDrill)
			v, err := verify.Verify(t.Context(), o, s.Set())
			must(t, err)
			if v.OK || v.Err() == nil || tt.is != nil && !errors.Is(v.Err(), tt.is) || !strings.Contains(v.Err().Error(), tt.says) {
				t.Errorf("verdict %v, %v", v.OK, v.Err())
			}
			s.failedCheck(catalog.LevelDrill, tt.says)
			empty(t, o.Scratch.Dir)
		})
	}
}

// Promise: what this host lacks is named before anything is loaded; it is an
// error, no verdict, and nothing is recorded or left.
func TestDrillNotHere(t *testing.T) {
	t.Parallel()
	unavailable := func(err error) bool { return errors.Is(err, scratch.ErrUnavailable) }
	for _, tt := range []struct {
		name   string
		forge  func(*copied)
		change func(*verify.Options)
		check  func(error) bool
		says   string
	}{
		{"extension", func(s *copied) { s.ForgeArtifact("10-pre-data.dump", true, catalogtest.Replace("pg_trgm", "pg_nope")) }, nil, func(err error) bool {
			var m *pgdump.MissingError
			return errors.As(err, &m) && slices.Equal(m.Extensions, []string{"pg_nope"}) && len(m.Roles) == 0
		}, "pg_nope"},
		{"locale", func(s *copied) {
			s.ForgeArtifact("05-database.sql", true, catalogtest.Replace("C.UTF-8", "xx_YY.UTF-8"))
		}, nil, unavailable, "xx_YY.UTF-8"},
		{"collation of the database", func(s *copied) {
			s.ForgeArtifact("05-database.sql", true, catalogtest.Replace(`"collate":"C.UTF-8"`, `"collate":"xx_YY.UTF-8"`))
		}, nil, func(error) bool { return true }, "xx_YY.UTF-8"},
		{"preload library", func(s *copied) {
			s.ForgeArtifact("05-database.sql", true, catalogtest.Replace(`"extensions":["pg_trgm"`, `"preload_libraries":["auto_explain","nolibrary"],"extensions":["nolibrary","pg_trgm"`))
		}, nil, unavailable, "nolibrary"},
		{"newer programs than there are", func(s *copied) { s.Forge(func(m *catalog.Manifest) { m.Tools["pg_dump"] = "98.1" }) }, nil, func(err error) bool {
			var m *postgres.ToolsError
			return errors.As(err, &m) && m.Need == 98
		}, "98"},
		{"any programs", nil, func(o *verify.Options) { o.Finder.Debian = o.Scratch.Dir + "/*" }, func(err error) bool { return errors.Is(err, postgres.ErrNoTools) }, "postgres"},
		{"space", nil, func(o *verify.Options) { o.FreeScratch = func() (int64, error) { return 1 << 20, nil } }, func(err error) bool {
			var m *verify.SpaceError
			return errors.As(err, &m) && m.Free == 1<<20 && m.Need > 200<<20
		}, "1 MB free"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := copySet(t, false)
			if tt.forge != nil {
				tt.forge(s)
			}
			o := s.options(catalog.LevelDrill)
			run := &proctest.Runner{T: t, Next: scratchtest.Runner()}
			o.Runner, o.Finder.Runner = run, run
			if tt.change != nil {
				tt.change(&o)
			}
			v, err := verify.Verify(t.Context(), o, s.Set())
			if err == nil || !tt.check(err) || !strings.Contains(err.Error(), tt.says) || v.OK || len(v.Damage) > 0 {
				t.Errorf("got %v, %+v", err, v)
			}
			for _, line := range run.Lines() {
				if strings.HasPrefix(line, "pg_restore") {
					t.Errorf("ran %s", line)
				}
			}
			s.unrecorded()
			empty(t, o.Scratch.Dir)
		})
	}
}

// Promise: a library that no extension of the database needs is not asked for,
// unknown space stops nobody, and a set without a fingerprint is loaded but not
// called compared.
func TestDrillLenient(t *testing.T) {
	t.Parallel()
	s := copySet(t, false)
	s.ForgeArtifact("05-database.sql", true, catalogtest.Replace(`"extensions":["pg_trgm"`, `"preload_libraries":["auto_explain","nolibrary"],"extensions":["pg_trgm"`))
	s.Forge(func(m *catalog.Manifest) { m.Fingerprint = &catalog.Fingerprint{Level: catalog.FingerprintNone} })
	o := s.options(catalog.LevelDrill)
	o.FreeScratch = func() (int64, error) { return 0, errors.New("nobody knows") }
	v, err := verify.Verify(t.Context(), o, s.Set())
	must(t, err)
	if !v.OK || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0], "no fingerprint") {
		t.Errorf("%v, warnings %q", v.Err(), v.Warnings)
	}
}

// Promise: a drill that is told to stop leaves no server, whenever that
// happens, and says nothing about the set.
func TestDrillCancelled(t *testing.T) {
	t.Parallel()
	why := errors.New("told to stop")
	for _, name := range []string{"hashed", "server started", "loaded data", "progress of load", "progress of compare"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := copySet(t, true)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			hit := false
			at := func(point string) {
				if point == name {
					hit = true
					cancel(why)
				}
			}
			o := s.options(catalog.LevelDrill)
			o.Step = at
			o.Progress = func(stage string, _, _ int64) { at("progress of " + stage) }
			v, err := verify.Verify(ctx, o, s.Set())
			if !hit || !errors.Is(err, why) || v.OK || len(v.Damage) > 0 {
				t.Errorf("hit %v, %v, %+v", hit, err, v)
			}
			s.unrecorded()
			empty(t, o.Scratch.Dir)
		})
	}
}

// Promise: a server or a program that dies is no verdict on the set.
func TestDrillDies(t *testing.T) {
	t.Parallel()
	t.Run("server while it loads", func(t *testing.T) {
		t.Parallel()
		s := copySet(t, false)
		o := s.options(catalog.LevelDrill)
		o.Step = func(name string) {
			if name == "loaded pre-data" {
				kill(t, clusterIn(t, o.Scratch.Dir))
			}
		}
		v, err := verify.Verify(t.Context(), o, s.Set())
		if err == nil || v.OK || len(v.Damage) > 0 {
			t.Errorf("got %v, %+v", err, v)
		}
		s.unrecorded()
		empty(t, o.Scratch.Dir)
	})
	t.Run("server before the comparison", func(t *testing.T) {
		t.Parallel()
		s := copySet(t, false)
		o := s.options(catalog.LevelDrill)
		o.Step = func(name string) {
			if name == "loaded post-data" {
				kill(t, clusterIn(t, o.Scratch.Dir))
			}
		}
		v, err := verify.Verify(t.Context(), o, s.Set())
		if err == nil || v.OK || len(v.Damage) > 0 {
			t.Errorf("got %v, %+v", err, v)
		}
		s.unrecorded()
		empty(t, o.Scratch.Dir)
	})
	for nth, section := range []string{"pre-data", "data", "post-data"} {
		t.Run("pg_restore of "+section, func(t *testing.T) {
			t.Parallel()
			s := copySet(t, false)
			o := s.options(catalog.LevelDrill)
			started := 0
			o.Runner = proctest.Wrapped{Runner: scratchtest.Runner(), OnStart: func(ctx context.Context, next proc.Runner, c proc.Cmd) (proc.Process, error) {
				if filepath.Base(c.Path) != "pg_restore" || c.Stdin == nil {
					return next.Start(ctx, c)
				}
				if started++; started != nth+1 {
					return next.Start(ctx, c)
				}
				return proctest.StartKilled(ctx, t, next, c)
			}}
			v, err := verify.Verify(t.Context(), o, s.Set())
			var failed *proc.Error
			if !errors.As(err, &failed) || failed.Signal != syscall.SIGKILL || v.OK || len(v.Damage) > 0 || !strings.Contains(err.Error(), "load "+section+": pg_restore: ended by signal: killed") {
				t.Errorf("got %v, %+v", err, v)
			}
			s.unrecorded()
			empty(t, o.Scratch.Dir)
		})
	}
}

// kill kills a server.
func kill(t testing.TB, c *scratch.Cluster) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(c.DataDir, "postmaster.pid"))
	must(t, err)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	must(t, err)
	must(t, syscall.Kill(pid, syscall.SIGKILL))
}
