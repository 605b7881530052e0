package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/ui"
)

// Set by the linker: -X main.version=1.2.3 -X main.commit=abcdef. Without them
// the build information of Go is asked.
var (
	version string
	commit  string
)

// versionInfo is the JSON of forgectl version.
type versionInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Modified bool   `json:"modified"` // built from a tree with changes that are in no commit
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func buildInfo() versionInfo {
	v := versionInfo{
		Version: version, Commit: commit,
		Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH,
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		if v.Version == "" && info.Main.Version != "(devel)" {
			v.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && v.Commit == "":
				v.Commit = s.Value
			case s.Key == "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	if v.Version == "" {
		v.Version = "devel"
	}
	return v
}

func newVersionCmd(app *App) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print version and commit",
		Long: `Prints the version, the commit that it was built from, and the Go release.

With -o json: {"version", "commit", "modified", "go", "platform"}; modified tells
that the sources were not those of the commit.`,
		Example: `  forgectl version
  forgectl version -o json`,
		Annotations: codes(exitOK),
		Args:        cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			v := buildInfo()
			return app.show(result{JSON: v, Text: func(s *ui.Streams) error {
				_, err := fmt.Fprintln(s.Out, v)
				return err
			}})
		},
	}
}

func (v versionInfo) String() string {
	text := program + " " + v.Version
	if v.Commit != "" {
		text += " commit " + v.Commit[:min(len(v.Commit), 12)]
		if v.Modified {
			text += " with changes"
		}
	}
	return text + " " + v.Go + " " + v.Platform
}
