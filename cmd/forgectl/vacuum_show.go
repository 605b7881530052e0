package main

import (
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/postgres/maintain"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// planned shows what would be done.
func planned(p maintain.Plan, action maintain.Action) result {
	shown := vacuumJSON(p, action)
	shown.DryRun = true
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if len(p.Items) == 0 {
			_, err := fmt.Fprintln(s.Out, "nothing needs it")
			return all(err, leftoverLines(s, p))
		}
		t := s.Table(ui.Column{Title: "TABLE"}, ui.Column{Title: "ACTION"}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "DEAD", Right: true},
			ui.Column{Title: "XID AGE", Right: true}, ui.Column{Title: "GAIN", Right: true}, ui.Column{Title: "TIME", Right: true}, ui.Column{Title: "REASON"})
		for _, item := range p.Items {
			t.Row(item.Name(), string(item.Action), ui.Bytes(item.Bytes()), s.Number(item.Dead), s.Number(item.XIDAge),
				gainText(item.Gain), timeText(item.Estimate), strings.Join(item.Reasons, ", "))
		}
		return all(t.Flush(), planFooter(s, p), leftoverLines(s, p))
	}}
}

func gainText(g maintain.Gain) string {
	if !g.Known {
		if g.Bytes > 0 {
			return "≥ " + ui.Bytes(g.Bytes)
		}
		return "unknown"
	}
	return ui.Bytes(g.Bytes)
}

// timeText is an estimate; one that rests on the size alone is marked.
func timeText(e maintain.Estimate) string {
	switch {
	case e.Time <= 0:
		return "unknown"
	case !e.FromRecords:
		return "~" + ui.Duration(e.Time)
	}
	return ui.Duration(e.Time)
}

// planFooter says on a terminal what the columns do not.
func planFooter(s *ui.Streams, p maintain.Plan) error {
	if !s.OutTTY {
		return nil
	}
	lines := []string{fmt.Sprintf("%s; the database's oldest transaction is %s old, autovacuum steps in at %s",
		things(len(p.Items), "table"), ui.Count(p.Ages.XID), ui.Count(p.Ages.Max))}
	if p.Items[0].Gain.Reusable {
		lines = append(lines, "the gain is reused by new rows; only --full gives it back to the disk")
	}
	lines = append(lines, unknownGains(p)...)
	if p.Copies() {
		room := "the room for copies cannot be checked: " + p.Space.Unknown
		if p.Space.Unknown == "" {
			room = fmt.Sprintf("%s free in %s", ui.Bytes(p.Space.Free()), p.Space.Dir)
		}
		lines = append(lines, room)
	}
	if p.Locks {
		lines = append(lines, "each table is locked for its time; ~ is a guess from its size alone")
		if !p.Until.IsZero() {
			lines = append(lines, "the window is open until "+p.Until.Format("2006-01-02 15:04 MST"))
		}
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(s.Out, s.Faint(ui.Printable(line))); err != nil {
			return err
		}
	}
	return nil
}

// unknownGains says why a gain is not known, or is only a part, once for each reason.
func unknownGains(p maintain.Plan) (lines []string) {
	seen := map[string]bool{}
	for _, item := range p.Items {
		if g := item.Gain; !g.Known && g.Why != "" && !seen[g.Why] {
			seen[g.Why] = true
			mark := "unknown"
			if g.Bytes > 0 {
				mark = "≥"
			}
			lines = append(lines, fmt.Sprintf("gain %s, as of %s: %s", mark, item.Name(), g.Why))
		}
	}
	return lines
}

func leftoverLines(s *ui.Streams, p maintain.Plan) error {
	for _, l := range p.Leftovers {
		what := "left by an earlier rebuilding: forgectl vacuum --reindex --drop-leftovers"
		if p.Drop {
			what = "left by an earlier rebuilding, will be removed"
		}
		if _, err := fmt.Fprintf(s.Out, "%s of %s, %s\n", ui.Printable(l.Index), ui.Printable(l.Of), what); err != nil {
			return err
		}
	}
	return nil
}

// reportRows is how many tables a terminal is told about; -o json has all.
const reportRows = 40

// vacuumed shows what was done.
func vacuumed(r maintain.Result, action maintain.Action) result {
	return result{JSON: resultJSON(r, action), Text: func(s *ui.Streams) error {
		t := s.Table(ui.Column{Title: "TABLE"}, ui.Column{Title: "ACTION"}, ui.Column{Title: "SIZE", Right: true}, ui.Column{Title: "RECLAIMED", Right: true},
			ui.Column{Title: "DEAD", Right: true}, ui.Column{Title: "XID AGE", Right: true}, ui.Column{Title: "TOOK", Right: true}, ui.Column{Title: "RESULT"})
		for i, table := range r.Tables {
			if s.OutTTY && i >= reportRows && table.Outcome == maintain.Done {
				continue
			}
			t.Row(table.Name(), string(table.Action), afterSize(table), reclaimed(table), change(s, table.Dead, table.After, deadOf),
				change(s, table.XIDAge, table.After, xidAgeOf), seconds(table.Seconds), outcomeText(s, table))
		}
		if err := t.Flush(); err != nil || !s.OutTTY {
			return err
		}
		_, err := fmt.Fprintf(s.Out, "%s of %s done in %s; %s given back to the disk; oldest transaction %s, was %s\n",
			ui.Count(int64(r.Count(maintain.Done))), things(len(r.Tables), "table"), seconds(r.Seconds), ui.Bytes(r.Reclaimed),
			ui.Count(r.Ages.XID), ui.Count(r.Plan.Ages.XID))
		return err
	}}
}

func deadOf(t *maintain.Table) int64   { return t.Dead }
func xidAgeOf(t *maintain.Table) int64 { return t.XIDAge }

func afterSize(t maintain.TableResult) string {
	if t.After == nil {
		return "unknown"
	}
	return ui.Bytes(t.After.Bytes())
}

func reclaimed(t maintain.TableResult) string {
	if t.After == nil {
		return "unknown"
	}
	return ui.Bytes(t.Reclaimed())
}

// change is "12 → 0".
func change(s *ui.Streams, before int64, after *maintain.Table, of func(*maintain.Table) int64) string {
	if after == nil {
		return s.Number(before) + " → ?"
	}
	return s.Number(before) + " → " + s.Number(of(after))
}

func outcomeText(s *ui.Streams, t maintain.TableResult) string {
	switch t.Outcome {
	case maintain.Done:
		return s.Good(string(t.Outcome))
	case maintain.Failed:
		return s.Bad(string(t.Outcome)) + ": " + t.Why
	case maintain.Gone:
		return string(t.Outcome) + ": " + t.Why
	case maintain.Skipped, maintain.Interrupted, maintain.NotStarted:
	}
	return s.Warn(string(t.Outcome)) + ": " + t.Why
}
