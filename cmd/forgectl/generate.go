package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/bmad-forge/forgectl/pkg/config"
)

// newGenerateCmd makes what is kept in the source tree and checked there. It
// reads no configuration.
func newGenerateCmd(app *App) *cobra.Command {
	leaf := func(use, short, long, example string, generate func(tree func() *cobra.Command, dir string) error) *cobra.Command {
		return &cobra.Command{
			Use: use, Short: short, Long: long, Example: example,
			Annotations: codes(exitOK, exitCritical),
			Args:        cobra.ExactArgs(1),
			ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				return nil, cobra.ShellCompDirectiveFilterDirs
			},
			RunE: func(_ *cobra.Command, args []string) error {
				// Trees of their own: cobra adds to them while it writes.
				tree := func() *cobra.Command { return newRoot(&App{Streams: app.Streams, Now: app.Now}) }
				return generate(tree, args[0])
			},
		}
	}
	group := newGroup("generate", "Generate completions, man pages and reference",
		`Writes the files that are derived from the commands themselves. They are kept in
the source tree; a second run writes the same bytes.`,
		`  forgectl generate all .`,
		leaf("all ROOT", "Generate everything below the root of the source tree",
			`Writes completions/, docs/man/ and docs/reference.md below ROOT.`, `  forgectl generate all .`, generateAll),
		leaf("completions DIR", "Generate the completion scripts",
			`Writes the scripts for bash, zsh and fish into DIR.`, `  forgectl generate completions completions`, generateCompletions),
		leaf("man DIR", "Generate the man pages",
			`Writes a man page for each command into DIR and removes those of commands that no
longer exist.`, `  forgectl generate man docs/man`, generateMan),
		leaf("reference DIR", "Generate the reference",
			`Writes reference.md, which has every command, setting and exit code, into DIR.`, `  forgectl generate reference docs`, generateReference),
	)
	group.Hidden = true
	return group
}

func generateAll(tree func() *cobra.Command, dir string) error {
	for _, step := range []struct {
		dir      string
		generate func(func() *cobra.Command, string) error
	}{
		{"completions", generateCompletions},
		{filepath.Join("docs", "man"), generateMan},
		{"docs", generateReference},
	} {
		if err := step.generate(tree, filepath.Join(dir, step.dir)); err != nil {
			return err
		}
	}
	return nil
}

func generateCompletions(tree func() *cobra.Command, dir string) error {
	for _, s := range shells() {
		var b bytes.Buffer
		if err := s.generate(tree(), &b); err != nil {
			return fmt.Errorf("generate completion for %s: %w", s.name, err)
		}
		if err := writeGenerated(dir, s.file, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// manDate is fixed, so that the same commands give the same pages.
func manDate() time.Time { return time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC) }

func generateMan(tree func() *cobra.Command, dir string) error {
	written := make(map[string]bool)
	for _, cmd := range documented(tree()) {
		page, err := manPage(cmd)
		if err != nil {
			return err
		}
		name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
		if err := writeGenerated(dir, name, page); err != nil {
			return err
		}
		written[name] = true
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("generate man pages: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, program) && strings.HasSuffix(name, ".1") && !written[name] {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("generate man pages: %w", err)
			}
		}
	}
	return nil
}

// manPage is the page of one command; the exit codes come in behind the
// options, where a reader of man pages expects them.
func manPage(cmd *cobra.Command) ([]byte, error) {
	cmd.DisableAutoGenTag = true
	date := manDate()
	var b bytes.Buffer
	header := &doc.GenManHeader{Section: "1", Date: &date, Source: program, Manual: "BMAD Forge maintenance"}
	if err := doc.GenMan(cmd, header, &b); err != nil {
		return nil, fmt.Errorf("generate man page of %s: %w", cmd.CommandPath(), err)
	}
	var status strings.Builder
	status.WriteString(".SH EXIT STATUS\n")
	for _, row := range codesOf(cmd) {
		fmt.Fprintf(&status, ".TP\n\\fB%d\\fP\n%s: %s\n", row.Code, row.Name, row.Meaning)
	}
	page := b.String()
	if at := strings.Index(page, ".SH EXAMPLE\n"); at >= 0 {
		page = page[:at] + status.String() + page[at:]
	} else {
		page += status.String()
	}
	return []byte(page), nil
}

// documented are the commands that are not hidden, in the order of the tree.
func documented(cmd *cobra.Command) []*cobra.Command {
	if cmd.Hidden {
		return nil
	}
	list := []*cobra.Command{cmd}
	for _, child := range cmd.Commands() {
		list = append(list, documented(child)...)
	}
	return list
}

func generateReference(tree func() *cobra.Command, dir string) error {
	var b bytes.Buffer
	b.WriteString("# forgectl reference\n\n" +
		"Generated by `forgectl generate reference`; do not edit.\n\n" +
		"- [Commands](#commands)\n- [Global flags](#global-flags)\n- [Exit codes](#exit-codes)\n- [Settings](#settings)\n\n## Commands\n\n")
	root := tree()
	for _, cmd := range documented(root) {
		plain := func(s string) string { return s }
		text := helpText(cmd, plain)
		if before, after, ok := strings.Cut(text, "\nGlobal flags:\n"); ok {
			// Once is enough for all of them.
			_, rest, _ := strings.Cut(after, "\nExit codes:\n")
			text = before + "\nExit codes:\n" + rest
		}
		fmt.Fprintf(&b, "### %s\n\n%s\n\n```text\n%s```\n\n", cmd.CommandPath(), cmd.Short, text)
	}
	fmt.Fprintf(&b, "## Global flags\n\n```text\n%s```\n\n## Exit codes\n\n| code | name | meaning |\n|---:|---|---|\n", globalUsages(root))
	for _, row := range exitCodes() {
		fmt.Fprintf(&b, "| %d | %s | %s |\n", row.Code, row.Name, row.Meaning)
	}
	b.WriteString("\n## Settings\n\n")
	b.Write(config.Reference())
	return writeGenerated(dir, "reference.md", append(bytes.TrimRight(b.Bytes(), "\n"), '\n'))
}

// writeGenerated writes a file of the source tree: public, and left alone when
// it is the same already.
func writeGenerated(dir, name string, data []byte) error {
	path := filepath.Join(dir, name)
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("generate %s: %w", name, err)
	}
	const public fs.FileMode = 0o644
	if err := os.WriteFile(path, data, public); err != nil {
		return fmt.Errorf("generate %s: %w", name, err)
	}
	return nil
}
