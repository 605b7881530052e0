package main

import (
	"context"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// resumedFiles is the JSON of forgectl restore resume --media.
type resumedFiles struct {
	Directory string `json:"directory"`
	Action    string `json:"action"`
	Stage     string `json:"stage"`
	Outcome   string `json:"outcome"`
	Live      string `json:"live"`
}

func (a *App) resumeMedia(ctx context.Context) error {
	return a.aboutMedia(ctx, "restore resume", false, func(ctx context.Context, run *job.Run, o restore.MediaOptions, _ steps) (result, error) {
		live, err := restore.LiveMedia(o.Live)
		if err != nil {
			return result{}, err
		}
		open, err := o.Intents.OpenMedia(ctx, live)
		if err != nil {
			return result{}, fmt.Errorf("resume the restore of %s: %w", live, err)
		}
		if open == nil {
			return result{JSON: resumedFiles{Directory: live, Outcome: "nothing open"}, Text: func(s *ui.Streams) error {
				_, err := fmt.Fprintf(s.Out, "no restore of %s is open\n", ui.Printable(live))
				return err
			}}, nil
		}
		done, err := restore.ResumeMedia(ctx, o, *open)
		if err != nil {
			return result{}, fmt.Errorf("resume the %s of %s: %w", open.Action, live, err)
		}
		shown := resumedFiles{live, open.Action, string(open.Stage), string(done.Outcome), done.Live}
		run.Fact("outcome", shown.Outcome)
		return result{JSON: shown, Text: func(s *ui.Streams) error {
			_, err := fmt.Fprintf(s.Out, "the %s of %s is %s: the %s files are live\n", open.Action, s.Bold(ui.Printable(live)), shown.Outcome, shown.Live)
			return err
		}}, nil
	})
}
