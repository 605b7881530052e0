package main

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/postgres/maintain"
	"github.com/bmad-forge/forgectl/pkg/remember"
)

// memory is where measurements are kept.
func (a *App) memory() remember.Store {
	return remember.Store{Dir: filepath.Join(a.loaded.StateDir, "remember")}
}

// vacuumSubject is what the durations are about: they are those of this database
// on this server, whatever it is called.
func vacuumSubject(p maintain.Plan) remember.Subject {
	return remember.Subject{Server: p.Server.SystemIdentifier, Database: remember.Database(p.OID, p.Database), Name: "vacuum"}
}

// pastVacuums is how long earlier runs took. What cannot be read is a warning:
// it is missed by an estimate only.
func (a *App) pastVacuums(run *job.Run, p maintain.Plan) []maintain.Record {
	entries, notes, err := remember.Read[[]maintain.Record](a.memory(), vacuumSubject(p))
	if err != nil {
		run.Warn(fmt.Sprintf("durations of earlier runs are not known: %v", err))
	}
	for _, note := range notes {
		run.Warn(note)
	}
	var records []maintain.Record
	for _, e := range entries {
		records = append(records, e.Data...)
	}
	return records
}

// rememberVacuum keeps how long each table took.
func (a *App) rememberVacuum(ctx context.Context, run *job.Run, r maintain.Result) {
	if len(r.Records) == 0 || r.Plan.Server.SystemIdentifier == "" {
		return // a server that does not say who it is could be mistaken for another
	}
	keep := remember.Keep{Entries: 60}
	if _, err := remember.Add(context.WithoutCancel(ctx), a.memory(), vacuumSubject(r.Plan), keep, a.Now(), r.Records); err != nil {
		run.Warn(fmt.Sprintf("the durations of this run are not kept: %v", err))
	}
}
