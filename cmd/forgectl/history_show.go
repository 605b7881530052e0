package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func (a *App) showRun(ctx context.Context, id string) error {
	jobs, err := a.Jobs()
	if err != nil {
		return err
	}
	r, err := jobs.Get(ctx, id)
	if err != nil {
		return err
	}
	return a.show(result{JSON: r, Text: func(s *ui.Streams) error {
		t := s.Table(ui.Column{Title: "FIELD"}, ui.Column{Title: "VALUE"})
		row := func(field, value string) {
			if value != "" {
				t.Row(field, value)
			}
		}
		row("id", r.ID)
		row("operation", r.Operation)
		row("target", r.Target)
		row("outcome", paintOutcome(s, r.Outcome))
		row("error", r.Error)
		for _, w := range r.Warnings {
			row("warning", w)
		}
		row("started", timestamp(r.Started))
		row("finished", timestamp(r.Finished))
		row("took", a.took(r))
		row("host", r.Host)
		row("user", r.User)
		if r.PID != 0 {
			row("pid", strconv.Itoa(r.PID))
		}
		row("version", r.Version)
		for _, key := range sortedKeys(r.Facts) {
			row(key, fmt.Sprint(r.Facts[key]))
		}
		for _, h := range r.Hooks {
			row(h.When+" hook", fmt.Sprintf("%s (exit code %d, %s)", h.Command, h.ExitCode, ui.Duration(time.Duration(h.Seconds*float64(time.Second)))))
			for line := range strings.Lines(h.Output) {
				row("output", strings.TrimRight(line, "\n"))
			}
		}
		for _, line := range r.Log {
			row("log", line)
		}
		return t.Flush()
	}})
}

// took is how long a run took, or has been going on.
func (a *App) took(r job.Record) string {
	switch {
	case !r.Finished.IsZero():
		return ui.Duration(r.Duration())
	case r.Outcome == job.Running:
		return ui.Duration(a.Now().Sub(r.Started).Truncate(time.Second))
	}
	return ""
}

func firstMessage(r job.Record) string {
	text := r.Error
	if text == "" && len(r.Warnings) > 0 {
		text = r.Warnings[0]
	}
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func paintOutcome(s *ui.Streams, outcome string) string {
	switch outcome {
	case job.OK:
		return s.Good(outcome)
	case job.Running:
		return outcome
	case job.Warning, job.Locked:
		return s.Warn(outcome)
	}
	return s.Bad(outcome)
}
