package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bmad-forge/forgectl/pkg/ui"
)

// newTestApp is an app with buffers for streams and nothing in its environment
// but a place for the state.
func newTestApp(t *testing.T) (app *App, out, errs *bytes.Buffer) {
	t.Helper()
	out, errs = new(bytes.Buffer), new(bytes.Buffer)
	return &App{
		Streams: &ui.Streams{In: strings.NewReader(""), Out: out, Err: errs},
		Environ: []string{"HOME=" + t.TempDir(), "FORGECTL_STATE_DIR=" + t.TempDir()},
		Now:     func() time.Time { return time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) },
	}, out, errs
}

// walk visits every command of the tree, hidden ones too.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, child := range cmd.Commands() {
		walk(child, visit)
	}
}

// Every command explains itself in the same way: what a new one forgets is
// found here.
func TestEveryCommand(t *testing.T) {
	app, _, _ := newTestApp(t)
	walk(newRoot(app), func(cmd *cobra.Command) {
		t.Run(cmd.CommandPath(), func(t *testing.T) {
			if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") || len(cmd.Short) > 70 || strings.Contains(cmd.Short, "\n") {
				t.Errorf("Short %q: want one line of at most 70 characters without a full stop", cmd.Short)
			}
			if !strings.HasSuffix(strings.TrimSpace(cmd.Long), ".") {
				t.Errorf("Long %q: want sentences", cmd.Long)
			}
			if !strings.HasPrefix(cmd.Example, "  ") || !strings.Contains(cmd.Example, program) {
				t.Errorf("Example %q: want indented lines that can be pasted", cmd.Example)
			}
			for _, text := range []string{cmd.Long, cmd.Example} {
				for line := range strings.Lines(text) {
					if strings.Contains(line, "\t") || len(strings.TrimRight(line, "\n")) > 90 {
						t.Errorf("line with a tab or of more than 90 characters: %q", line)
					}
				}
			}
			if len(codesOf(cmd)) < 1 {
				t.Error("no exit codes: see codes and operationCodes")
			}
			help := helpText(cmd, func(s string) string { return s })
			_, last, found := strings.Cut(help, "\nExit codes:\n")
			if !found || strings.Contains(last, "\n\n") {
				t.Errorf("the help does not end with the exit codes:\n%s", help)
			}
			if cmd.RunE == nil || cmd.Run != nil {
				t.Error("want RunE, not Run: an error needs a way out")
			}
			if cmd.Args == nil {
				t.Error("no Args: what is given too much must not be ignored")
			}
			if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
				t.Error("arguments are not completed")
			}
		})
	})
}

// Every flag is completed, or says with cobra.NoFileCompletions that nothing is
// known about its value, and has a usage without a full stop.
func TestEveryFlag(t *testing.T) {
	app, _, _ := newTestApp(t)
	walk(newRoot(app), func(cmd *cobra.Command) {
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			if _, ok := cmd.GetFlagCompletionFunc(f.Name); !ok {
				t.Errorf("%s --%s is not completed", cmd.CommandPath(), f.Name)
			}
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: usage %q", cmd.CommandPath(), f.Name, f.Usage)
			}
			if keys := f.Annotations[settingAnnotation]; len(keys) > 0 && !knownSetting(t, keys[0]) {
				t.Errorf("%s --%s is bound to %s, which is no setting", cmd.CommandPath(), f.Name, keys[0])
			}
		})
	})
}

func knownSetting(t *testing.T, key string) bool {
	t.Helper()
	app, _, _ := newTestApp(t)
	loaded, err := app.Config()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range loaded.Values() {
		if v.Key == key {
			return true
		}
	}
	return false
}

// A flag that is bound to a setting beats the environment, and only when given.
func TestBindSetting(t *testing.T) {
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"probe"}, "from-environment []"},
		{[]string{"probe", "--database", "from-flag"}, "from-flag []"},
		{[]string{"probe", "--exclude", "a,b", "--exclude", "c"}, "from-environment [a b c]"},
	}
	for _, tt := range tests {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			app, _, errs := newTestApp(t)
			app.Environ = append(app.Environ, "DB_NAME=from-environment")
			var got string
			probe := &cobra.Command{Use: "probe", RunE: func(*cobra.Command, []string) error {
				loaded, err := app.Config()
				if err == nil {
					got = loaded.Database.Name + " [" + strings.Join(loaded.Media.Exclude, " ") + "]"
				}
				return err
			}}
			probe.Flags().String("database", "", "")
			probe.Flags().StringSlice("exclude", nil, "")
			bindSetting(probe, "database", "database.name")
			bindSetting(probe, "exclude", "media.exclude")
			root := newRoot(app)
			root.AddCommand(probe)
			app.frame(probe)
			if code := run(t.Context(), app, root, tt.args); code != exitOK {
				t.Fatalf("exit code %d: %s", code, errs)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Building the tree, which every start pays for, reads and writes nothing: it
// works with an app that has nothing at all.
func TestTreeTouchesNothing(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	app := &App{Streams: &ui.Streams{Out: new(bytes.Buffer), Err: new(bytes.Buffer)}}
	if code := run(t.Context(), app, newRoot(app), []string{"--help"}); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	if app.loaded != nil || app.logger != nil {
		t.Error("help loaded the configuration or opened the log")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}
