package restore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
	"github.com/bmad-forge/forgectl/pkg/restore"
)

// punctual is an application that does nothing for a context that has ended.
type punctual struct{ *application }

func (p punctual) Start(ctx context.Context, units []string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return p.application.Start(ctx, units)
}

// Promise: an undo that is told to end after the swap still starts the units that
// it stopped.
func TestUndoCancelled(t *testing.T) {
	s := newService(t, scratchtest.Name("undo"))
	_, err := restore.Replace(t.Context(), s.o)
	must(t, err)
	s.o.Units = punctual{s.app}
	ctx, cancel := context.WithCancel(t.Context())
	s.o.Step = func(name string) {
		if name == "swapped" {
			cancel()
		}
	}
	if _, err := restore.Undo(ctx, s.o); err != nil {
		t.Log(err)
	}
	s.settled()
	if s.is(s.live) != "old" {
		t.Errorf("%s is %s", s.live, s.is(s.live))
	}
}

// Promise: units that do not start leave the record of what was begun, and resume
// says how things stand: the database, and whether the application is well.
func TestUndoUnitsDown(t *testing.T) {
	s := newService(t, scratchtest.Name("down"))
	_, err := restore.Replace(t.Context(), s.o)
	must(t, err)
	s.o.Step = func(name string) {
		if name == "swapped" {
			s.app.failTo = errors.New("no such binary")
		}
	}
	_, err = restore.Undo(t.Context(), s.o)
	var unfinished *restore.UnfinishedError
	if !errors.As(err, &unfinished) {
		t.Fatalf("%v", err)
	}
	open, err := s.o.Intents.List(t.Context())
	if err != nil || len(open) != 1 {
		t.Fatalf("%v, %v", open, err)
	}
	s.app.failTo, s.o.Step = nil, nil
	ill := errors.New("ill")
	s.o.Gate = func(context.Context) error { return ill }
	r, err := restore.Resume(t.Context(), s.o, open[0])
	must(t, err)
	if r.Outcome != restore.Finished || r.Live != "old" || !errors.Is(r.Unwell, ill) {
		t.Errorf("%+v", r)
	}
	s.settled()
}

// Promise: an intent of another server, or of a time with another manager, is not
// acted upon.
func TestResumeElsewhere(t *testing.T) {
	s := newService(t, scratchtest.Name("elsewhere"))
	must(t, s.app.Stop(t.Context(), nil))
	s.app.endpoint = nil
	must(t, s.app.Start(t.Context(), nil))
	v := s.victim()
	v.KillAt = "stopped"
	if out := v.run(t, nil); out != "killed" {
		t.Fatal(out)
	}
	open, err := s.o.Intents.List(t.Context())
	must(t, err)
	other := open[0]
	other.Server = "postgres@db2:5432/postgres"
	if _, err := restore.Resume(t.Context(), s.o, other); err == nil {
		t.Error("an intent of another server was resumed")
	}
	none := s.o
	none.Units = nil
	if _, err := restore.Resume(t.Context(), none, open[0]); err == nil {
		t.Error("units were started without a manager")
	}
	// Somebody has decided otherwise in the meantime: only the units are owed.
	scratchtest.Exec(t, s.o.Admin, "ALTER DATABASE "+s.live+" RENAME TO "+s.live+"_elsewhere", "CREATE DATABASE "+s.live)
	scratchtest.Drop(t, s.live+"_elsewhere")
	r, err := restore.Resume(t.Context(), s.o, open[0])
	must(t, err)
	if r.Live != "other" {
		t.Errorf("%+v", r)
	}
	s.settled()
}

// Promise: an admin connection to the live database itself is refused before
// anything is loaded.
func TestAdminIsLive(t *testing.T) {
	s := newService(t, scratchtest.Name("itself"))
	s.o.Admin = s.o.Admin.WithDatabase(s.live)
	var wrong *restore.AdminError
	if _, err := restore.PlanReplace(t.Context(), s.o); !errors.As(err, &wrong) {
		t.Errorf("replace: %v", err)
	}
	if _, err := restore.PlanUndo(t.Context(), s.o); !errors.As(err, &wrong) {
		t.Errorf("undo: %v", err)
	}
}

// Promise: two processes with records of their own do not exchange one database
// at the same time.
func TestExchangeElsewhere(t *testing.T) {
	s := newService(t, scratchtest.Name("twice"))
	other := s.o
	other.Intents = restore.Intents{Dir: t.TempDir()}
	met := false
	s.o.Step = func(name string) {
		if name != "stopped" || met {
			return
		}
		met = true
		if _, err := restore.Replace(context.Background(), other); !errors.Is(err, restore.ErrElsewhere) {
			t.Errorf("a second exchange: %v", err)
		}
	}
	_, err := restore.Replace(t.Context(), s.o)
	must(t, err)
	if !met {
		t.Error("the step did not happen")
	}
}
