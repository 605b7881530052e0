package restore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/archive/archivetest"
	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/store/local"
)

// fileVictim tells the test binary what to restore, and where to die.
type fileVictim struct {
	Dir, Set, To, KillAt string
	Paths                []string
	Undo, Two, Tell      bool // Tell: a line for each step
	UID                  int
}

// child runs the test binary as that; check is told how it ended.
func (f *files) child(v fileVictim, check func(*os.ProcessState)) string {
	f.t.Helper()
	spec, err := json.Marshal(v)
	must(f.t, err)
	cmd := exec.CommandContext(f.t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), "RESTORE_TEST_MEDIA="+string(spec), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if check != nil {
		check(cmd.ProcessState)
	} else if err != nil {
		f.t.Fatalf("%v\n%s", err, out)
	}
	return string(out)
}

func restoreMediaAndDie() {
	var v fileVictim
	err := json.Unmarshal([]byte(os.Getenv("RESTORE_TEST_MEDIA")), &v)
	if v.UID != 0 {
		err = errors.Join(err, syscall.Setgroups(nil), syscall.Setgid(v.UID), syscall.Setuid(v.UID))
	}
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	s, err := local.Open(filepath.Join(v.Dir, "repository"), local.Options{})
	if err != nil {
		panic(err)
	}
	c := catalog.New(s, catalog.Options{})
	ref, err := catalog.ParseRef(v.Set)
	if err != nil {
		panic(err)
	}
	set, err := c.Get(ctx, ref)
	if err != nil {
		panic(err)
	}
	o := restore.MediaOptions{
		Catalog: c, Set: set, Live: filepath.Join(v.Dir, "media"), To: v.To, Paths: v.Paths, Intents: restore.Intents{Dir: filepath.Join(v.Dir, "intents")},
		Step: func(name string) {
			if v.Tell {
				fmt.Println(name)
			}
			if name == v.KillAt {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
		},
	}
	if v.Two {
		o = restore.WithoutExchange(o)
	}
	if v.Undo {
		_, err = restore.UndoMedia(ctx, o)
		fmt.Println(err)
		return
	}
	r, err := restore.Media(ctx, o)
	fmt.Println(err, "unowned", r.Built.Unowned.Count, "first", r.Built.Unowned.First, "")
}

// Promise: a restore that is killed, at whatever step, leaves what was live or what was to be live, whole; resume ends
// it, what was live is kept in either case, and nothing is in the way of the next one.
func TestMediaKilled(t *testing.T) {
	steps := []struct {
		at       string
		two      bool
		resumed  bool // there is something to resume
		finished bool
	}{
		{"begun", false, false, false}, {"copy", false, false, false}, {"compare", false, false, false},
		{"intent written", false, true, false}, {"moved 0", false, true, true}, {"moved 1", false, true, true}, {"kept", false, true, true},
		{"aside", true, true, true}, {"in place", true, true, true},
	}
	for _, paths := range [][]string{nil, {"a/one.txt", "a/deep/er/three", "empty"}} {
		for _, s := range steps {
			if s.at == "moved 1" && paths == nil {
				continue
			}
			t.Run(fmt.Sprint(s.at, len(paths)), func(t *testing.T) {
				t.Parallel()
				f := newFiles(t)
				f.spoil()
				spoiled := f.copyOf("spoiled")
				f.child(fileVictim{Dir: f.dir, Set: f.set.Ref.String(), KillAt: s.at, Paths: paths, Two: s.two}, func(p *os.ProcessState) {
					if status, ok := p.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
						t.Fatal("was not killed")
					}
				})
				o := f.options()
				o.Paths = paths
				open, err := o.Intents.OpenMedia(t.Context(), f.live)
				must(t, err)
				if (open != nil) != s.resumed {
					t.Fatalf("intent %v", open)
				}
				if open != nil {
					if _, err := restore.Media(t.Context(), o); !errors.Is(err, restore.ErrOpen) {
						t.Errorf("another restore meanwhile: %v", err)
					}
					r, err := restore.ResumeMedia(t.Context(), o, *open)
					must(t, err)
					if (r.Outcome == restore.Finished) != s.finished {
						t.Errorf("%s, %s files are live", r.Outcome, r.Live)
					}
				}
				switch {
				case s.finished && paths == nil:
					archivetest.Same(t, f.original, f.live)
					f.left("media_before")
				case s.finished:
					for _, p := range paths {
						want, _ := os.ReadFile(filepath.Join(f.original, p))
						if got, err := os.ReadFile(filepath.Join(f.live, p)); err != nil || string(got) != string(want) {
							t.Errorf("%s: %q, %v", p, got, err)
						}
					}
					f.left("media_before")
				default:
					archivetest.Same(t, spoiled, f.live)
				}
				// The next one works, and drop-old removes what is left.
				_, err = restore.Media(t.Context(), f.options())
				must(t, err)
				archivetest.Same(t, f.original, f.live)
				kept, err := restore.ListKeptMedia(f.live)
				must(t, err)
				for _, k := range kept {
					must(t, restore.DropMedia(k))
				}
				f.left()
			})
		}
	}
}
