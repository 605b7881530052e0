package main

import (
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func (a *App) connectionTables(s *ui.Streams, r insight.ConnectionReport) error {
	t := s.Table(ui.Column{Title: "BY"}, ui.Column{Title: "NAME"}, ui.Column{Title: "COUNT", Right: true})
	t.Row("connections", fmt.Sprintf("of %d usable (%d, %d reserved)", r.Usable, r.Max, r.Reserved), s.Number(int64(r.Used)))
	for _, g := range r.Groups {
		name := g.Name
		if name == "" {
			name = map[string]string{"address": "local socket", "state": "not shown to this role"}[g.By]
		}
		t.Row(g.By, name, s.Number(int64(g.Count)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if !s.OutTTY {
		return nil
	}
	var b strings.Builder
	for _, w := range r.Blocking {
		b.WriteString("\n")
		waitingTree(&b, s, w, 0)
	}
	for _, p := range r.Prepared {
		fmt.Fprintf(&b, "\nprepared transaction %s of %s in %s, %s old\n", ui.Printable(p.Name), ui.Printable(p.Owner), ui.Printable(p.Database), a.agoOf(&p.Since))
	}
	for _, slot := range r.Slots {
		fmt.Fprintf(&b, "\nslot %s holds %s of WAL, active: %t\n", ui.Printable(slot.Name), ui.Bytes(slot.Bytes), slot.Active)
	}
	fmt.Fprintf(&b, "\n%s\n", wrapped(r.Advice, s.Width))
	_, err := fmt.Fprint(s.Out, b.String())
	return err
}

// waitingTree draws a session that others wait for, and these below it.
func waitingTree(b *strings.Builder, s *ui.Streams, w insight.Waiting, depth int) {
	lead := ""
	if depth > 0 {
		lead = strings.Repeat("   ", depth-1) + "└─ waits: "
	}
	fmt.Fprintf(b, "%s%d %s, %s: %s\n", lead, w.PID, ui.Printable(w.User), ui.Printable(w.State), ui.Printable(brief(s, w.Query, 120)))
	for _, next := range w.Waiters {
		waitingTree(b, s, next, depth+1)
	}
}

// wrapped breaks a paragraph between words.
func wrapped(text string, width int) string {
	if width <= 0 || width > 90 {
		width = 90
	}
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return strings.Join(append(lines, line), "\n")
}
