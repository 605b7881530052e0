package main

import (
	"context"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// terminated is the JSON of forgectl db connections --terminate-idle.
type terminated struct {
	Planned []int32  `json:"planned"`
	Ended   []int32  `json:"ended"`
	Spared  []string `json:"spared"`
}

// terminateIdle ends idle sessions, after it was confirmed.
func (a *App) terminateIdle(ctx context.Context, idle time.Duration, dryRun bool) error {
	s, r, err := a.connections(ctx)
	if err != nil {
		return err
	}
	a.notes(r.Head)
	plan, spared := r.Idle(a.Now(), idle)
	done := terminated{Planned: []int32{}, Ended: []int32{}, Spared: append([]string{}, spared...)}
	for _, c := range plan {
		done.Planned = append(done.Planned, c.PID)
	}
	if dryRun || len(plan) == 0 {
		return a.show(result{JSON: done, Text: func(s *ui.Streams) error { return a.planTable(s, plan) }})
	}
	if !a.flags.yes {
		if err := a.planTable(&ui.Streams{Out: a.Streams.Err, OutTTY: a.Streams.ErrTTY, Width: a.Streams.Width}, plan); err != nil {
			return err
		}
	}
	question := fmt.Sprintf("These %d sessions of %s end; what they have not committed is lost.", len(plan), r.Database)
	if err := a.Confirm(ctx, question, r.Database); err != nil {
		return err
	}
	return a.operate(ctx, operation{
		Spec:  job.Spec{Operation: "db terminate-idle", Target: r.Database},
		Check: true,
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			var failed []error
			for _, c := range plan {
				ended, err := s.Terminate(ctx, c)
				switch {
				case err != nil:
					failed = append(failed, err)
				case ended:
					done.Ended = append(done.Ended, c.PID)
				default:
					done.Spared = append(done.Spared, fmt.Sprintf("session %d has done something meanwhile, or is gone", c.PID))
				}
			}
			run.Fact("ended", fmt.Sprint(len(done.Ended)))
			return result{JSON: done, Text: func(s *ui.Streams) error {
				_, err := fmt.Fprintf(s.Out, "%d of %d idle sessions ended\n", len(done.Ended), len(plan))
				return err
			}}, all(failed...)
		},
	})
}

func (a *App) planTable(s *ui.Streams, plan []insight.Client) error {
	t := s.Table(ui.Column{Title: "PID", Right: true}, ui.Column{Title: "USER"}, ui.Column{Title: "APPLICATION"}, ui.Column{Title: "ADDRESS"},
		ui.Column{Title: "STATE"}, ui.Column{Title: "SINCE", Right: true}, ui.Column{Title: "LAST STATEMENT"})
	for _, c := range plan {
		t.Row(fmt.Sprint(c.PID), c.User, c.Application, c.Address, c.State, a.agoOf(c.Changed), brief(s, c.Query, 100))
	}
	return t.Flush()
}
