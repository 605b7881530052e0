package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// TestMain makes programs for the scripts: forgectl as it is, forgectl-demo,
// which has a command that does whatever the frame has to cope with, and
// forgectl-doctor, which looks for cron lines below the directory "root".
func TestMain(m *testing.M) {
	testscript.Main(withServer{m}, map[string]func(){
		"forgectl":        main,
		"forgectl-demo":   func() { os.Exit(start(newDemoRoot)) },
		"forgectl-doctor": func() { os.Exit(start(newDoctorRoot)) },
	})
}

// withServer runs the tests, and then ends the PostgreSQL server that some of
// them share.
type withServer struct{ m *testing.M }

func (w withServer) Run() int { return scratchtest.Run(w.m) }

// TestScripts runs every file of testdata/script. Each script has a home, a
// configuration and a state directory of its own.
func TestScripts(t *testing.T) {
	testscript.Run(t, scripts("testdata/script", nil))
}

// scripts are the parameters that all directories of scripts share; more is
// called after the common set-up.
func scripts(dir string, more func(env *testscript.Env) error) testscript.Params {
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("FORGECTL_CONFIG", filepath.Join(env.WorkDir, "forgectl.yaml"))
			env.Setenv("FORGECTL_STATE_DIR", filepath.Join(env.WorkDir, "state"))
			env.Setenv("TERM", "xterm")
			// The race detector would let every program sleep for a
			// second before it exits.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			if err := os.Mkdir(filepath.Join(env.WorkDir, "repository"), 0o700); err != nil {
				return err
			}
			err := os.WriteFile(filepath.Join(env.WorkDir, "forgectl.yaml"), []byte("repository: "+env.WorkDir+"/repository\n"), 0o600)
			if err != nil || more == nil {
				return err
			}
			return more(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":    exits,
			"terminal": terminal,
			"waitfor":  waitFor,
			"signal":   sendSignal,
			"sql":      runSQL,
			"sets":     publishSets,
			"mediaset": publishMedia,
			"systemd":  installSystemctl,
			"expired":  writeExpiredKey,
		},
	}
}

// exits runs a program and checks its exit code: exits CODE PROGRAM ARGS...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM [ARGS]")
	}
	want := args[0]
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = fmt.Sprint(exit.ExitCode())
	}
	if got != want {
		ts.Fatalf("exit code %s, want %s", got, want)
	}
}

// waitFor waits until a file exists.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: waitfor FILE")
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %s after a minute", args[0])
		}
	}
}

// sendSignal signals the only background program: signal TERM|INT. The kill of
// testscript has no TERM.
func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "KILL": syscall.SIGKILL}
	background := ts.BackgroundCmds()
	if neg || len(args) != 1 || signals[args[0]] == nil || len(background) != 1 {
		ts.Fatalf("usage: signal TERM|INT|KILL, with one program in the background")
	}
	ts.Check(background[0].Process.Signal(signals[args[0]]))
}

// newDemoRoot is the tree with one operation more.
func newDemoRoot(app *App) *cobra.Command {
	root := newRoot(app)
	demo := newDemoCmd(app)
	root.AddCommand(demo)
	app.frame(demo)
	return root
}

// newDemoCmd runs an operation that behaves as its flags say.
func newDemoCmd(app *App) *cobra.Command {
	var warnings []string
	var fail, code, lockPath, confirm string
	var wait, stubborn, panics, check, progress, hint bool
	cmd := &cobra.Command{
		Use: "demo", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if confirm != "" {
				if err := app.Confirm(cmd.Context(), "Replace the database "+confirm+"?", confirm); err != nil {
					return fmt.Errorf("demo: %w", err)
				}
			}
			return app.operate(cmd.Context(), operation{
				Spec: job.Spec{Operation: "demo", Target: "thing", Lock: lockPath}, Check: check,
				Do: func(ctx context.Context, run *job.Run) (result, error) {
					for _, w := range warnings {
						run.Warn(w)
					}
					run.Log.Info("at work", "url", "postgres://u:hunter2@h/d")
					run.Log.Debug("in detail")
					if panics {
						panic("broken")
					}
					if progress {
						p := app.Streams.Progress("copying", 1000)
						p.Add(500)
						for range 3 {
							time.Sleep(100 * time.Millisecond)
							fmt.Fprintln(app.Streams.Err, "a line between")
						}
						p.Done()
					}
					if wait {
						if err := os.WriteFile("waiting", nil, 0o600); err != nil {
							return result{}, err
						}
						<-ctx.Done()
						for stubborn {
							if err := os.WriteFile("stubborn", nil, 0o600); err != nil {
								return result{}, err
							}
							time.Sleep(time.Hour)
						}
						return result{}, errors.New("connection closed")
					}
					res := result{
						JSON: map[string]string{"state": "done"},
						Text: func(s *ui.Streams) error {
							t := s.Table(ui.Column{Title: "STATE"}, ui.Column{Title: "N", Right: true})
							t.Row(s.Good("done"), "1")
							return t.Flush()
						},
					}
					if fail == "" {
						return res, nil
					}
					err := fmt.Errorf("demo thing: %s", fail)
					if code == "3" {
						err = withCode(exitUnknown, err)
					}
					if hint {
						err = withHint(err, "forgectl demo --again")
					}
					return result{}, err
				},
			})
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&warnings, "warn", nil, "")
	f.StringVar(&fail, "fail", "", "")
	f.StringVar(&code, "code", "", "")
	f.StringVar(&lockPath, "lock", "", "")
	f.StringVar(&confirm, "confirm", "", "")
	f.BoolVar(&wait, "wait", false, "")
	f.BoolVar(&stubborn, "stubborn", false, "")
	f.BoolVar(&panics, "panic", false, "")
	f.BoolVar(&check, "check", false, "")
	f.BoolVar(&progress, "progress", false, "")
	f.BoolVar(&hint, "hint", false, "")
	return cmd
}
