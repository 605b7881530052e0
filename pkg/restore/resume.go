package restore

import (
	"context"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// Outcome is where a resumed exchange ended.
type Outcome string

// The outcomes.
const (
	Finished  Outcome = "finished" // the restored database is live, and the application is well with it
	TakenBack Outcome = "undone"   // the old database is live, as before
)

// Resumed is what Resume did.
type Resumed struct {
	Intent  Intent
	Outcome Outcome
	Live    string // which database is live now: "restored", "old", or "other" when somebody has put a third one there
	Unwell  error  // of an undo: why the application is not well with it
}

// position is what the server says about the two databases of an intent.
type position struct {
	in, out string // their names now; "" when gone
}

func positionOf(ctx context.Context, admin *postgres.Endpoint, in Intent) (p position, err error) {
	if p.in, err = nameOf(ctx, admin, in.In.OID); err == nil && in.Out != nil {
		p.out, err = nameOf(ctx, admin, in.Out.OID)
	}
	return p, err
}

// Resume ends an exchange whose process died. The server knows which database
// has which name, whatever the process had time to write: if the names were not
// swapped, the old database is live, and its units are started again; if they
// were, the units are started and the application is asked, and the old database
// comes back when it is not well.
func Resume(ctx context.Context, o Options, in Intent) (Resumed, error) {
	o = o.withDefaults()
	r := Resumed{Intent: in}
	if in.Server != o.Admin.String() {
		return r, fmt.Errorf("it was begun on %s, but the admin connection is to %s", in.Server, o.Admin)
	}
	p, err := positionOf(ctx, o.Admin, in)
	if err != nil {
		return r, err
	}
	x := &exchange{Options: o, intent: in}
	switch {
	case p.in == in.Live && in.Out != nil && p.out == "":
		x.intent.Out = nil // somebody has dropped the way back
		err = x.settle(ctx)
	case p.in == in.Live && in.Stage == Returning:
		// It was on its way back already, and had a reason.
		err = x.back(ctx, errors.New("the application was not well with it"))
	case p.in == in.Live:
		err = x.settle(ctx)
	case in.Out == nil || p.out == in.Live:
		return r.takenBack(ctx, x, p)
	default:
		return r.overtaken(ctx, x, p)
	}
	returned := &ReturnedError{}
	switch {
	case err == nil:
		r.Outcome, r.Live, r.Unwell = Finished, liveAfter(in.Action, true), x.unwell
	case errors.As(err, &returned):
		r.Outcome, r.Live = TakenBack, liveAfter(in.Action, false)
	}
	return r, err
}

// liveAfter is which database is live after an exchange that happened, or did
// not: an undo brings the old one.
func liveAfter(action string, happened bool) string {
	if happened == (action == actionRestore) {
		return "restored"
	}
	return "old"
}

// overtaken ends an exchange when neither of its databases has the name. If a
// third one has, somebody has decided since, and only the units are owed.
func (r Resumed) overtaken(ctx context.Context, x *exchange, p position) (Resumed, error) {
	live := x.intent.Live
	exists, err := pgdump.Exists(ctx, x.Admin, live)
	if err != nil {
		return r, err
	}
	if !exists {
		return r, x.unfinished(fmt.Errorf("there is no database %s: its restored one is now called %q, its old one %q: rename one of them to %s, then resume again", live, p.in, p.out, live))
	}
	if err := x.start(ctx); err != nil {
		return r, x.unfinished(err)
	}
	r.Outcome, r.Live = TakenBack, "other"
	return r, x.Intents.end(x.intent)
}

// takenBack ends an exchange whose names are those from before it.
func (r Resumed) takenBack(ctx context.Context, x *exchange, p position) (Resumed, error) {
	if err := x.start(ctx); err != nil {
		return r, x.unfinished(err)
	}
	if err := x.Intents.end(x.intent); err != nil {
		return r, err
	}
	r.Outcome, r.Live = TakenBack, liveAfter(x.intent.Action, false)
	if x.intent.Action == actionRestore && p.in == x.intent.In.Name && x.intent.Stage != Returning {
		// It was complete and never live: restoring again is as good, and surer.
		return r, dropCandidate(ctx, x.Admin, x.intent)
	}
	return r, nil
}

// dropCandidate drops the database that a dead restore had loaded, if it is still marked as that.
func dropCandidate(ctx context.Context, admin *postgres.Endpoint, in Intent) error {
	kept, err := cutover.ListKept(ctx, admin, in.Live)
	if err != nil {
		return err
	}
	for _, k := range kept {
		if k.OID == in.In.OID && k.Origin.Forgectl == cutover.Candidate {
			return cutover.Drop(ctx, admin, k)
		}
	}
	return nil
}
