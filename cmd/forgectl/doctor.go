package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/doctor"
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
what dead runs left; the units of the application, and whether it says that it is well;
the line of cron, or the timer, that runs the backup; the clock; the configuration.

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
