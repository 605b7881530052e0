package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/provenance"
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

// confirmRestore shows the plan and lets the operator type the name of what is
// replaced. Where there is nothing to replace nothing needs to be confirmed.
func (a *App) confirmRestore(ctx context.Context, p restore.Plan) error {
	question := fmt.Sprintf("Replace the live database %s on %s?", p.Into, p.Server)
	if p.Live == nil {
		question = fmt.Sprintf("Make the database %s on %s, and %s?", p.Into, p.Server, things(len(p.Roles), "role"))
	}
	return a.confirmPlan(ctx, func(s *ui.Streams) error { return planTable(s, p) }, question, p.Into)
}

func planTable(s *ui.Streams, p restore.Plan) error {
	t := s.Table(ui.Column{Title: "PLAN"}, ui.Column{Title: "VALUE"})
	t.Row("source", p.Source+", proven whole")
	if by := p.Signature.Signer(); by != "" && p.Signature.State == provenance.Good {
		t.Row("signed by", by)
	}
	t.Row("server", p.Server+", PostgreSQL "+p.Version.String())
	space := "unknown on the server: look for yourself"
	if p.Free >= 0 {
		space = ui.Bytes(p.Free) + " free on the server"
	}
	if p.Choice != nil {
		space = "guessed by their share of the rows, " + space
	}
	t.Row("space", "about "+ui.Bytes(p.Bytes)+" needed, "+space)
	if len(p.Roles) > 0 {
		t.Row("make roles", strings.Join(p.Roles, ", "))
	}
	t.Row("load", "as "+p.Working+", owner "+p.Owner)
	planTables(t, p.Choice)
	if p.Fingerprint == nil {
		t.Row("compare", "nothing to compare with: nobody counted")
	} else {
		t.Row("compare", "with "+contents(p.Fingerprint)+", then analyze")
	}
	switch {
	case p.Live != nil:
		planLive(t, p)
	case p.Run != "":
		t.Row("then", "it becomes "+p.Into+", which does not exist now")
	default:
		t.Row("then", "it becomes "+p.Into+"; no other database is touched")
	}
	for _, w := range p.Warnings {
		t.Row("note", w)
	}
	return t.Flush()
}

func planLive(t *ui.Table, p restore.Plan) {
	for _, session := range p.Live.Sessions {
		t.Row("connected now", session.String())
	}
	units := unitList(p.Units)
	t.Row("stop", units)
	size := ""
	if p.Live.Bytes >= 0 {
		size = " (" + ui.Bytes(p.Live.Bytes) + ")"
	}
	t.Row("swap", p.Into+size+" becomes "+p.Aside+" and is kept; the restored one becomes "+p.Into)
	if len(p.Units) > 0 {
		t.Row("start", units+", then ask the health check; all goes back when it is not well")
	}
	t.Row("to undo", restoreCommand("undo", p.Into))
}

// unitList is which units are stopped; nil: nobody was asked.
func unitList(units []string) string {
	switch {
	case units == nil:
		return "nothing: service.manager is none"
	case len(units) == 0:
		return "nothing: none of service.units runs, and none is started"
	}
	return strings.Join(units, ", ")
}

// restoreCommand is a command about a database, whatever the configured one is.
func restoreCommand(verb, database string) string {
	return "forgectl restore " + verb + " --database " + shellWord(database)
}
