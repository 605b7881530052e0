package main

import (
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// restoredDatabase is the JSON of forgectl restore db.
type restoredDatabase struct {
	Set      string          `json:"set"`
	Server   string          `json:"server"`
	Database string          `json:"database"`
	Owner    string          `json:"owner"`
	Bytes    int64           `json:"bytes"`
	Rows     int64           `json:"rows"`
	Stages   []catalog.Stage `json:"stages"`
	Seconds  float64         `json:"seconds"`
	DryRun   bool            `json:"dry_run"`
	Recovery *recoveryTime   `json:"recovery,omitempty"`

	Tables  []string `json:"tables,omitzero"`
	LeftOut []string `json:"left_out,omitzero"`

	Kept     string   `json:"kept,omitempty"`
	Roles    []string `json:"roles_made,omitempty"`
	Password []string `json:"roles_without_password,omitempty"`
	Downtime float64  `json:"downtime_seconds,omitempty"`
	Gap      float64  `json:"gap_seconds,omitempty"`
	Ended    int      `json:"sessions_ended,omitempty"`
}

func restored(run *job.Run, done restore.Result, dryRun bool, measured *recoveryTime) result {
	shown := restoredDatabase{
		Set: done.Source, Server: done.Server, Database: done.Into, Owner: done.Owner, Bytes: done.Bytes,
		Rows: done.Fingerprint.Rows(), Stages: append([]catalog.Stage{}, done.Stages...), DryRun: dryRun, Recovery: measured,
		Kept: done.Aside, Roles: done.Roles, Password: done.Passwordless, Downtime: done.Downtime.Seconds(), Gap: done.Gap.Seconds(), Ended: done.Ended,
	}
	if c := done.Choice; c != nil {
		shown.Tables, shown.LeftOut = append([]string{}, c.Tables...), append([]string{}, c.LeftOut...)
		run.Fact("tables", shown.Tables)
		run.Fact("left_out", shown.LeftOut)
	}
	for _, stage := range done.Stages {
		shown.Seconds += stage.Seconds
	}
	for _, w := range done.Warnings {
		run.Warn(w)
	}
	if len(done.Passwordless) > 0 && !dryRun {
		run.Warn("roles that log in came back without a password; in psql: " + passwordLines(done.Passwordless))
	}
	run.Fact("set", shown.Set)
	run.Fact("kept", shown.Kept)
	run.Fact("downtime_seconds", shown.Downtime)
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		if dryRun {
			return planTable(s, done.Plan)
		}
		return restoredText(s, shown, done)
	}}
}

func restoredText(s *ui.Streams, shown restoredDatabase, done restore.Result) error {
	_, err := fmt.Fprintf(s.Out, "%s  is ready: %s; owner %s\n%s\n", s.Bold(ui.Printable(shown.Database)), compared(done.Fingerprint),
		ui.Printable(shown.Owner), s.Faint("from "+shown.Set+": "+stageTimes(shown.Stages)))
	if err == nil && shown.Recovery != nil {
		_, err = fmt.Fprintln(s.Out, shown.Recovery)
	}
	if err == nil && done.Choice != nil {
		err = chosenText(s, done.Choice)
	}
	if err != nil || done.Run == "" {
		return err
	}
	if len(done.Passwordless) > 0 {
		_, err = fmt.Fprintf(s.Out, "units were not started: start them when the roles have their passwords\n")
	}
	if err != nil || done.Live == nil {
		return err
	}
	away := ""
	if len(done.Units) > 0 {
		away = "the application was away for " + ui.Duration(done.Downtime) + ", "
	}
	_, err = fmt.Fprintf(s.Out, "in service: %snew connections waited %s at most, %d sessions were ended\nthe old database is kept as %s; to go back: %s; when it is not needed any more: %s\n",
		away, ui.Duration(done.Gap), done.Ended, s.Bold(ui.Printable(shown.Kept)), restoreCommand("undo", shown.Database), restoreCommand("drop-old", shown.Database))
	return err
}

// passwordLines are what is still to be typed into psql.
func passwordLines(roles []string) string {
	lines := make([]string, len(roles))
	for i, r := range roles {
		lines[i] = `\password ` + ui.Printable(r)
	}
	return strings.Join(lines, "  ")
}

// restoreCommand is a command about a database, whatever the configured one is.
func restoreCommand(verb, database string) string {
	return "forgectl restore " + verb + " --database " + proc.ShellWord(database)
}
