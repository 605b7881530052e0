package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
	"github.com/bmad-forge/forgectl/pkg/postgres/pgdump"
)

// The actions of an intent.
const (
	actionRestore = "restore"
	actionUndo    = "undo"
)

// UnendableError means that a swap would fail, or make every client wait for
// nothing: somebody is in the live database whom this role may not send away.
type UnendableError struct {
	Live     string
	Sessions []cutover.Session
	Prepared []string // names of prepared transactions
}

func (e *UnendableError) Error() string {
	text := e.Live + " cannot be freed:"
	for _, s := range e.Sessions {
		text += " " + s.String() + " may not be ended by this role;"
	}
	for _, p := range e.Prepared {
		text += fmt.Sprintf(" prepared transaction %q is open;", p)
	}
	return text[:len(text)-1]
}

// Remedies are what to run, one each.
func (e *UnendableError) Remedies() []string {
	var all []string
	if len(e.Sessions) > 0 {
		all = append(all, "end those sessions, or set database.admin_url to a superuser")
	}
	for _, p := range e.Prepared {
		quoted := postgres.QuoteLiteral(p)
		all = append(all, "COMMIT PREPARED "+quoted+";  -- or: ROLLBACK PREPARED "+quoted+"; in "+e.Live)
	}
	return all
}

// Replace puts a set into service under the name o.Live: loaded beside, compared,
// and only then exchanged with the live database, which is kept. When the
// application is not well afterwards the old one comes back (*ReturnedError).
// What was found before anything was changed is handed to o.Confirm.
func Replace(ctx context.Context, o Options) (Result, error) {
	o = o.withDefaults()
	r := Result{}
	err := o.planReplace(ctx, &r.Plan)
	if err == nil && o.Confirm != nil {
		err = o.Confirm(ctx, r.Plan)
	}
	if err != nil {
		return r, err
	}
	if len(r.roleScript) > 0 {
		o.Report("roles", fmt.Sprintf("%d to be made", len(r.Roles)))
		if err := pgdump.MakeRoles(ctx, o.Admin, r.roleScript); err != nil {
			return r, err
		}
	}
	candidate := pgdump.Candidate{Admin: o.Admin, Name: r.Working}
	if err := o.build(ctx, &r, candidate, r.Working); err != nil {
		if len(r.Roles) > 0 {
			err = fmt.Errorf("%w (roles were made, and stay: %s)", err, strings.Join(r.Roles, ", "))
		}
		return r, err
	}
	if o.Ready != nil {
		if err := o.Ready(ctx); err != nil {
			return r, errors.Join(err, candidate.Drop(context.WithoutCancel(ctx)))
		}
	}
	if err := o.intoService(ctx, &r, candidate); err != nil {
		return r, err
	}
	return r, nil
}

// PlanReplace is what Replace finds out before it changes anything.
func PlanReplace(ctx context.Context, o Options) (Plan, error) {
	o = o.withDefaults()
	var p Plan
	err := o.planReplace(ctx, &p)
	return p, err
}

func (o Options) planReplace(ctx context.Context, p *Plan) error {
	if o.Admin.Database() == o.Live {
		return &AdminError{o.Live}
	}
	run, warning, err := o.nextRun(ctx)
	if err != nil {
		return err
	}
	if warning != "" {
		p.Warnings = append(p.Warnings, warning)
	}
	p.Into, p.Run, p.started, p.Working = o.Live, run, run, cutover.Name(o.Live, cutover.Candidate, run)
	open, err := o.Intents.Open(ctx, o.Live)
	if err == nil && open != nil {
		err = &OpenError{Live: o.Live, Since: open.Started}
	}
	if err != nil {
		return err
	}
	if p.Live, err = cutover.Inspect(ctx, o.Admin, o.Live); err != nil {
		return err
	}
	if err := o.prepare(ctx, p); err != nil {
		return err
	}
	if p.Live != nil {
		p.Aside = cutover.Name(o.Live, cutover.Before, run)
		if len(p.Live.Unendable)+len(p.Live.Prepared) > 0 {
			return &UnendableError{Live: o.Live, Sessions: p.Live.Unendable, Prepared: p.Live.Prepared}
		}
		for _, s := range p.Live.Slots {
			p.Warnings = append(p.Warnings, fmt.Sprintf("replication slot %s stays with %s and keeps WAL from now on: point its reader there, or drop it (SELECT pg_drop_replication_slot('%s')); the restored database has none", s, p.Aside, s))
		}
		for _, s := range p.Live.Subscriptions {
			p.Warnings = append(p.Warnings, fmt.Sprintf("subscription %s stays with %s and goes on there; the restored one is made disabled", s, p.Aside))
		}
	}
	if o.Units == nil {
		return nil
	}
	if p.Units, err = o.Units.Running(ctx); err != nil {
		return fmt.Errorf("ask which units run: %w", err)
	}
	return nil
}

// AdminError means that the connection for restores leads to the very database
// that is to be renamed.
type AdminError struct{ Live string }

func (e *AdminError) Error() string {
	return "the admin connection is to " + e.Live + " itself, which cannot be renamed then"
}

// nextRun names this exchange by its start, and later than every one before it,
// also when the clock has gone back: undo looks for the newest.
func (o Options) nextRun(ctx context.Context) (run, warning string, err error) {
	kept, err := cutover.ListKept(ctx, o.Admin, o.Live)
	if err != nil {
		return "", "", err
	}
	now := o.Now()
	run = cutover.Run(now)
	for _, k := range kept {
		if at, err := cutover.ParseRun(k.Origin.Run); err == nil && k.Origin.Run >= run {
			run = cutover.Run(at.Add(time.Second))
			if at.After(now.Add(time.Minute)) {
				warning = fmt.Sprintf("%s is of %s, which is still to come: has the clock gone back?", k.Name, at.Format(time.RFC3339))
			}
		}
	}
	return run, warning, nil
}

// lookAgain asks once more what may have changed while the candidate was loaded:
// the operator has stopped units or started some, and sessions come and go.
func (o Options) lookAgain(ctx context.Context, r *Result) error {
	live, err := cutover.Inspect(ctx, o.Admin, o.Live)
	if err != nil {
		return err
	}
	switch {
	case (live == nil) != (r.Live == nil) || live != nil && live.OID != r.Live.OID:
		return fmt.Errorf("%s: %w", o.Live, cutover.ErrOther)
	case live != nil && len(live.Unendable)+len(live.Prepared) > 0:
		return &UnendableError{Live: o.Live, Sessions: live.Unendable, Prepared: live.Prepared}
	}
	r.Live = live
	if o.Units == nil {
		return nil
	}
	if r.Units, err = o.Units.Running(ctx); err != nil {
		return fmt.Errorf("ask which units run: %w", err)
	}
	return nil
}

// intoService exchanges the complete candidate with what is live.
func (o Options) intoService(ctx context.Context, r *Result, candidate pgdump.Candidate) error {
	if err := o.lookAgain(ctx, r); err != nil {
		return errors.Join(err, candidate.Drop(ctx))
	}
	x := &exchange{Options: o, intent: Intent{
		Action: actionRestore, Run: r.Run, Live: o.Live, Server: o.Admin.String(), Set: r.Source, Started: o.Now().UTC(),
		Host: o.Host, PID: o.PID, Units: r.Units,
		In: Moved{Name: r.Working, Comment: cutover.Plain(r.Properties.Comment)},
	}}
	var err error
	if x.intent.In.OID, err = oidOf(ctx, o.Admin, r.Working); err != nil {
		return errors.Join(err, candidate.Drop(ctx))
	}
	if r.Live != nil {
		x.intent.Out = &Moved{OID: r.Live.OID, Name: o.Live, Aside: r.Aside, Comment: r.Live.Comment}
	}
	if r.Live == nil || o.Units != nil && len(r.Units) == 0 {
		x.Gate = nil // nothing of the application runs: there is nobody to ask
	}
	err = x.run(ctx)
	r.Gap, r.Ended, r.Downtime = x.swap.Gap, x.swap.Ended, time.Since(x.began)
	if err == nil {
		return nil
	}
	if open, openErr := o.Intents.Open(ctx, o.Live); openErr == nil && open == nil && !errors.As(err, new(*ReturnedError)) && r.Live != nil {
		// Nobody has ever used it: the swap did not happen.
		return errors.Join(err, candidate.Drop(ctx))
	}
	return err
}
