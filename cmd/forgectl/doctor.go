package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/doctor"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newDoctorCmd(app *App) *cobra.Command { return newDoctorCmdFor(app, doctor.Cron{}) }

// newDoctorCmdFor looks for cron lines elsewhere than on this machine, for tests.
func newDoctorCmdFor(app *App, cron doctor.Cron) *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that a night run and a restore need",
		Long: `Looks at everything that a night run and a restore need, and says of each finding how
to mend it, as commands or SQL to paste: the server and the programs that fit it; what
the backup role may read, now and later; the role of restores, and the databases that
restores have kept; the keys that sets are sealed to, and whether a secret key is here;
the age of the newest set, and of the last drill; space in repository, state_dir,
scratch_dir and on the server; permissions and owners; restores that were cut short, and
what dead runs left; the units of the application; the line of cron, or the timer, that
runs the backup; the clock; the configuration.

Run it as the user who makes the backups, and as root for what only root can see. What
could not be looked at is UNKNOWN, with the reason. The exit code is that of the worst
finding: CRITICAL, then UNKNOWN, then WARNING; ok and info are 0. Nothing is changed.

With --fix what is safe is done, after it was shown and the word "fix" was typed or --yes
given: rights of others are taken from forgectl's own files, directories that are missing
are made, half sets of dead runs are removed. Then everything is checked again.

With -o json: {"worst", "findings": [{"check", "state", "message", "remedy": [],
"fixable"}]}, the worst first.`,
		Example: `  forgectl doctor
  sudo forgectl doctor --fix
  forgectl doctor -o json | jq -r '.findings[] | select(.state != "ok") | .remedy[]'`,
		Annotations: codes(exitOK, exitWarning, exitCritical, exitLocked, exitInterrupted, exitTerminated),
		Args:        cobra.NoArgs,
		RunE:        func(cmd *cobra.Command, _ []string) error { return app.doctor(cmd.Context(), cron, fix) },
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "mend what is safe to mend, after showing it")
	return cmd
}

func (a *App) doctor(ctx context.Context, cron doctor.Cron, fix bool) error {
	o, err := a.doctorOptions(cron)
	if err != nil {
		return err
	}
	findings, err := doctor.Run(ctx, o)
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	var failed error
	if fix {
		if failed, err = a.mend(ctx, findings); err != nil {
			return err
		}
		if findings, err = doctor.Run(ctx, o); err != nil {
			return all(failed, fmt.Errorf("check again: %w", err))
		}
	}
	doctor.Sort(findings)
	return all(failed, a.show(a.examined(findings)), silently(stateCode(doctor.Worst(findings))))
}

// mend shows what is safe to be mended, and does it when the operator agrees. What
// fails does not keep it from the rest.
func (a *App) mend(ctx context.Context, findings []doctor.Finding) (failed, err error) {
	var fixes []*doctor.Fix
	for _, f := range findings {
		if f.Fix != nil {
			fixes = append(fixes, f.Fix)
			a.Streams.Message("", "fix", a.scrub(f.Fix.What))
		}
	}
	if len(fixes) == 0 {
		a.Streams.Message("", "fix", "there is nothing that is safe to mend")
		return nil, nil
	}
	if err := a.Confirm(ctx, "Do all of this?", "fix"); err != nil {
		return nil, fmt.Errorf("fix: %w", err)
	}
	var errs []error
	for _, f := range fixes {
		if err := f.Do(ctx); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.What, err))
		}
	}
	return all(errs...), nil
}

// stateCode is the exit code for the worst finding.
func stateCode(l doctor.Level) int {
	switch l {
	case doctor.OK, doctor.Info:
		return exitOK
	case doctor.Warning:
		return exitWarning
	case doctor.Critical:
		return exitCritical
	}
	return exitUnknown
}

// examinedHost is the JSON of forgectl doctor.
type examinedHost struct {
	Worst    doctor.Level   `json:"worst"`
	Findings []shownFinding `json:"findings"`
}

type shownFinding struct {
	Check   string       `json:"check"`
	State   doctor.Level `json:"state"`
	Message string       `json:"message"`
	Remedy  []string     `json:"remedy"`
	Fixable bool         `json:"fixable"`
}

func (a *App) examined(findings []doctor.Finding) result {
	shown := examinedHost{Worst: doctor.Worst(findings), Findings: []shownFinding{}}
	for _, f := range findings {
		s := shownFinding{Check: f.Check, State: f.Level, Message: a.scrub(f.Message), Remedy: []string{}, Fixable: f.Fix != nil}
		for _, line := range f.Remedy {
			s.Remedy = append(s.Remedy, a.scrub(line))
		}
		shown.Findings = append(shown.Findings, s)
	}
	return result{JSON: shown, Text: shown.text}
}

// text is a table. On a terminal the remedies stand below it, each under the
// number of its finding: a command that is wrapped in a column cannot be pasted.
func (e examinedHost) text(s *ui.Streams) error {
	if !s.OutTTY {
		t := s.Table(ui.Column{Title: "STATE"}, ui.Column{Title: "CHECK"}, ui.Column{Title: "FINDING"}, ui.Column{Title: "REMEDY"})
		for _, f := range e.Findings {
			t.Row(string(f.State), f.Check, f.Message, strings.Join(f.Remedy, "\n"))
		}
		return t.Flush()
	}
	t := s.Table(ui.Column{Title: "STATE"}, ui.Column{Title: "CHECK"}, ui.Column{Title: "REMEDY", Right: true}, ui.Column{Title: "FINDING"})
	var remedies strings.Builder
	number := 0
	for _, f := range e.Findings {
		mark := ""
		if len(f.Remedy) > 0 {
			number++
			mark = strconv.Itoa(number)
			fmt.Fprintf(&remedies, "\n%s %s\n", s.Bold(mark), s.Faint(f.Check))
			for _, line := range f.Remedy {
				fmt.Fprintf(&remedies, "%s\n", ui.Printable(line))
			}
		}
		message := f.Message
		if f.State == doctor.OK {
			message = s.Faint(message)
		}
		t.Row(paintLevel(s, f.State), f.Check, mark, message)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(s.Out, remedies.String())
	return err
}

func paintLevel(s *ui.Streams, l doctor.Level) string {
	switch l {
	case doctor.OK:
		return s.Good(string(l))
	case doctor.Info:
		return string(l)
	case doctor.Warning:
		return s.Warn(string(l))
	}
	return s.Bad(string(l))
}
