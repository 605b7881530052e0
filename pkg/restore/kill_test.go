package restore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// victim tells a process what to restore, and where to die.
type victim struct {
	Repository, URL, Live, Intents, Unit, Ref string
	KillAt                                    string
	Ill                                       bool // the application is never well
	Undo                                      bool
}

// restoreAndDie is that process: the test binary, called again.
func restoreAndDie() {
	var v victim
	if err := json.Unmarshal([]byte(os.Getenv("RESTORE_TEST_KILL")), &v); err != nil {
		panic(err)
	}
	ctx := context.Background()
	s, err := local.Open(v.Repository, local.Options{})
	if err != nil {
		panic(err)
	}
	c := catalog.New(s, catalog.Options{})
	ref, err := catalog.ParseRef(v.Ref)
	if err != nil {
		panic(err)
	}
	set, err := c.Get(ctx, ref)
	if err != nil {
		panic(err)
	}
	admin, err := postgres.Resolve(ctx, postgres.Target{URL: v.URL})
	if err != nil {
		panic(err)
	}
	runner := proc.System{Environ: os.Environ()}
	o := restore.Options{
		Catalog: c, Set: set, Unlock: &seal.Keyring{}, Admin: admin, Runner: runner, Finder: postgres.ToolFinder{Runner: runner},
		Live: v.Live, Intents: restore.Intents{Dir: v.Intents}, Units: &application{file: v.Unit},
		Step: func(name string) {
			if name == v.KillAt {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		},
	}
	if v.Ill {
		o.Gate = func(context.Context) error { return errors.New("ill") }
	}
	if v.Undo {
		_, err = restore.Undo(ctx, o)
	} else {
		_, err = restore.Replace(ctx, o)
	}
	fmt.Println("ended", err)
}

// victim of a service.
func (s *service) victim() victim {
	server := scratchtest.Server(s.t)
	return victim{
		Repository: filepath.Dir(filepath.Dir(filepath.Dir(s.set.Dir))), Ref: s.set.Ref.String(), Live: s.live, Intents: s.o.Intents.Dir, Unit: s.app.file,
		URL: fmt.Sprintf("host='%s' port=%d user=postgres dbname=postgres", server.SocketDir, server.Port),
	}
}

// run runs the process; kill, if not nil, is given it. It returns what it said.
func (v victim) run(t *testing.T, kill func(*os.Process)) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	exe, err := os.Executable()
	must(t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), "RESTORE_TEST_KILL="+string(text), "GORACE=atexit_sleep_ms=0")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	if kill != nil {
		kill(cmd.Process)
	}
	_ = cmd.Wait()
	if !cmd.ProcessState.Success() {
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || ws.Signal() != syscall.SIGKILL {
			t.Fatalf("%v: %s", cmd.ProcessState, out.String())
		}
		return "killed"
	}
	return out.String()
}

// probe asks the live database again and again until stopped: it must always be
// there under its name, if not at the first attempt then at one of the next.
func (s *service) probe() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	var answers atomic.Int64
	e := s.o.Admin.WithDatabase(s.live)
	go func() {
		defer close(ended)
		misses := 0
		for {
			select {
			case <-done:
				return
			default:
			}
			conn, err := e.Connect(context.Background())
			if err == nil {
				_, err = conn.Exec(context.Background(), "SELECT 1")
				_ = conn.Close(context.Background())
			}
			var server *pgconn.PgError
			switch {
			case err == nil:
				answers.Add(1)
				misses = 0
			case errors.As(err, &server) && server.Code == "3D000" && server.Detail == "":
				s.t.Errorf("the database does not exist: %v", err)
				return
			default: // its connection was ended, or it waited for the rename
				if misses++; misses > 20 {
					s.t.Errorf("no answer: %v", err)
					return
				}
			}
		}
	}()
	return func() {
		close(done)
		<-ended
		if answers.Load() == 0 {
			s.t.Error("the database never answered")
		}
	}
}

// resume does what an operator does after a kill.
func (s *service) resume() string {
	s.t.Helper()
	open, err := s.o.Intents.List(s.t.Context())
	must(s.t, err)
	if len(open) == 0 {
		return "nothing open"
	}
	r, err := restore.Resume(s.t.Context(), s.o, open[0])
	if returned := new(restore.ReturnedError); err != nil && !errors.As(err, &returned) {
		s.t.Errorf("resume: %v", err)
	}
	return string(r.Outcome)
}

// Promise: whenever a restore is killed, the database answers under its name all
// the time, and resume ends what was begun: with the restored database if it had
// its name already, else with the old one; the units run.
func TestReplaceKilled(t *testing.T) {
	before := []string{"created", "loaded pre-data", "loaded data", "loaded post-data", "compare", "analyze", "finish"}
	backSteps := []string{"returning", "swapped back"}
	for _, c := range []struct {
		at        string
		ill, undo bool
		want      string // the live database in the end
		resumed   string
	}{
		{at: "intent written", want: "old", resumed: "undone"},
		{at: "stopped", want: "old", resumed: "undone"},
		{at: "swapping", want: "old", resumed: "undone"},
		{at: "swap begun", want: "old", resumed: "undone"},
		{at: "swap renamed", want: "old", resumed: "undone"},
		{at: "swap committed", want: "restored", resumed: "finished"},
		{at: "swapped", want: "restored", resumed: "finished"},
		{at: "starting", want: "restored", resumed: "finished"},
		{at: "started", want: "restored", resumed: "finished"},
		{at: "well", want: "restored", resumed: "finished"},
		{at: backSteps[0], ill: true, want: "old", resumed: "undone"},
		{at: backSteps[1], ill: true, want: "old", resumed: "undone"},
		{at: "swap renamed", undo: true, want: "restored", resumed: "undone"},
		{at: "swapped", undo: true, want: "old", resumed: "finished"},
	} {
		t.Run(fmt.Sprintf("%s ill=%v undo=%v", c.at, c.ill, c.undo), func(t *testing.T) {
			t.Parallel()
			s := newService(t, scratchtest.Name("killed"))
			must(t, s.app.Stop(t.Context(), nil))
			s.app.endpoint = nil
			must(t, s.app.Start(t.Context(), nil))
			if c.undo {
				_, err := restore.Replace(t.Context(), s.o)
				must(t, err)
			}
			stop := s.probe()
			v := s.victim()
			v.KillAt, v.Ill, v.Undo = c.at, c.ill, c.undo
			if out := v.run(t, nil); out != "killed" {
				t.Fatalf("was not killed: %s", out)
			}
			if c.ill {
				s.o.Gate = func(context.Context) error { return errors.New("ill") }
			}
			if got := s.resume(); got != c.resumed {
				t.Errorf("resumed: %s, want %s", got, c.resumed)
			}
			stop()
			if got := s.is(s.live); got != c.want {
				t.Errorf("%s is %s, want %s", s.live, got, c.want)
			}
			s.settled()
		})
	}
	for _, at := range before {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newService(t, scratchtest.Name("early"))
			stop := s.probe()
			v := s.victim()
			v.KillAt = at
			if out := v.run(t, nil); out != "killed" {
				t.Fatalf("was not killed: %s", out)
			}
			stop()
			if got := s.resume(); got != "nothing open" || s.is(s.live) != "old" {
				t.Errorf("resumed: %s", got)
			}
			s.settled()
			// What it left is known by its mark, and does not hinder the next one.
			if k := s.kept(); len(k) != 1 || k[0] != cutover.Candidate {
				t.Errorf("kept: %v", k)
			}
			s.o.Now = func() time.Time { return time.Now().Add(time.Minute) } // another name for it
			if _, err := restore.Replace(t.Context(), s.o); err != nil {
				t.Error(err)
			}
		})
	}
}

// Promise: the same at any moment, not only at those that have a name.
func TestReplaceKilledAtRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	s := newService(t, scratchtest.Name("random"))
	must(t, s.app.Stop(t.Context(), nil))
	s.app.endpoint = nil
	must(t, s.app.Start(t.Context(), nil))
	start := time.Now()
	v := s.victim()
	v.run(t, nil)
	whole := time.Since(start)
	stop := s.probe()
	defer stop()
	ended := map[string]int{}
	for range killRounds {
		delay := time.Duration(random.Int64N(int64(whole * 11 / 10)))
		out := v.run(t, func(p *os.Process) {
			time.Sleep(delay)
			_ = p.Signal(syscall.SIGKILL)
		})
		ended[s.resume()]++
		s.settled()
		if got := s.is(s.live); got != "old" && got != "restored" {
			t.Fatalf("after %v and %q: %s is %s", delay, out, s.live, got)
		}
		dropLike(t, s.live)
	}
	t.Logf("a restore takes %v; after the kills: %v", whole, ended)
}
