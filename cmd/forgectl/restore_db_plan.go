package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/provenance"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

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
