package main

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/bmad-forge/forgectl/pkg/archive"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/udiff"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// configPlanText is what would be done with each file, and what would be left.
func configPlanText(s *ui.Streams, p restore.ConfigPlan) error {
	t := s.Table(ui.Column{Title: "DO"}, ui.Column{Title: "PATH"}, ui.Column{Title: "WHAT"})
	for _, c := range p.Changes() {
		what := strings.Join(c.What, ", ")
		switch c.State {
		case restore.ConfigAdd:
			what = fmt.Sprintf("%s, mode %04o", c.Type, c.Mode)
			if c.Type == archive.Symlink {
				what = "link to " + c.Target
			}
		case restore.ConfigConflict:
			what = fmt.Sprintf("the set has a %s, and here is a %s", c.Type, c.Live.Type)
		}
		t.Row(string(c.State), c.Name(), what)
	}
	for _, path := range p.LeftAlone {
		t.Row("leave", path, "not in the set")
	}
	for _, line := range p.Unstored {
		t.Row("note", line, "not held by the set")
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.Out, "%s; the set is %s, proven whole\n", s.Faint(things(len(p.Entries)-len(p.Changes()), "file")+" the same"), p.Set.Ref)
	return err
}

func configDiffText(s *ui.Streams, p restore.ConfigPlan, diffs map[string]string) error {
	for _, c := range p.Changes() {
		text := diffs[c.Path]
		if text == "" {
			text = fmt.Sprintf("%s: %s: %s\n", c.State, ui.Printable(c.Name()), ui.Printable(cmp.Or(strings.Join(c.What, ", "), string(c.Type))))
		}
		for line := range strings.Lines(text) {
			if _, err := fmt.Fprintln(s.Out, coloured(s, ui.Printable(strings.TrimSuffix(line, "\n")))); err != nil {
				return err
			}
		}
	}
	for _, path := range p.LeftAlone {
		if _, err := fmt.Fprintf(s.Out, "only here: %s\n", ui.Printable(path)); err != nil {
			return err
		}
	}
	return nil
}

func coloured(s *ui.Streams, line string) string {
	switch {
	case strings.HasPrefix(line, "+"):
		return s.Good(line)
	case strings.HasPrefix(line, "-"):
		return s.Bad(line)
	}
	return line
}

// configDiff is what differs between a file that is there and that of the set; "" when it is nothing in the content.
func configDiff(f restore.ConfigFile, reveal bool, scrub func(string) string) string {
	if f.Type != archive.File || f.State != restore.ConfigAdd && f.Live.Type != archive.File {
		return ""
	}
	live, liveHash := f.Name(), "nothing"
	if f.Live == nil {
		live = "/dev/null"
	} else {
		liveHash = f.Live.SHA256
	}
	if f.New == nil && f.Size > 0 || !isText(f.Old) || !isText(f.New) {
		if liveHash == f.SHA256 {
			return ""
		}
		return fmt.Sprintf("--- %s\n+++ %s\nno text: sha256 %s here, %s in the set\n", live, f.Name(), liveHash, f.SHA256)
	}
	text := func(name string, content []byte) udiff.Text {
		t := udiff.Text{Name: name, Lines: udiff.Lines(string(content))}
		if !reveal {
			for _, line := range config.MaskFile(f.Name(), t.Lines) {
				t.Shown = append(t.Shown, scrub(line))
			}
		}
		return t
	}
	return udiff.Unified(text(live, f.Old), text(f.Name(), f.New))
}

func isText(content []byte) bool { return utf8.Valid(content) && !bytes.Contains(content, []byte{0}) }
