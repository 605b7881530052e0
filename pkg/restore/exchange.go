package restore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/postgres/cutover"
)

// Units are what runs the application and has to stand still while its database
// is exchanged.
type Units interface {
	// Running lists those that run now, in the order in which they are started. An
	// error means that nobody can tell.
	Running(ctx context.Context) ([]string, error)
	// Stop stops units and waits until nothing of them runs.
	Stop(ctx context.Context, units []string) error
	// Start starts units and waits until they run. Those that run stay as they are.
	Start(ctx context.Context, units []string) error
}

// Gate asks the application whether it is well, as often as it takes; nil when
// it is.
type Gate func(ctx context.Context) error

// ReturnedError says that the application was not well with the restored
// database, and that the old one is live again.
type ReturnedError struct {
	Live   string
	Kept   string // the restored one: the application may have written to it
	Reason error
	// Trouble is what went wrong on the way back, such as a unit that does not
	// start; nil when all is as it was.
	Trouble error
}

func (e *ReturnedError) Error() string {
	text := fmt.Sprintf("%s is the old database again, the restored one is kept as %s: %v", e.Live, e.Kept, e.Reason)
	if e.Trouble != nil {
		text += fmt.Sprintf("; on the way back: %v", e.Trouble)
	}
	return text
}

// Unwrap keeps both causes.
func (e *ReturnedError) Unwrap() []error {
	if e.Trouble != nil {
		return []error{e.Reason, e.Trouble}
	}
	return []error{e.Reason}
}

// errUndetermined means that the server went away during the commit, and has not
// come back to say which name belongs to which database.
var errUndetermined = errors.New("nobody knows which database is live: the server does not answer")

// UnfinishedError says what an exchange could not end. Its intent stays: Resume
// goes on from there.
type UnfinishedError struct {
	Live  string
	Err   error
	Media bool // Live is a directory
}

func (e *UnfinishedError) Error() string { return e.Err.Error() }
func (e *UnfinishedError) Unwrap() error { return e.Err }

// OpenError says which exchange has not ended. It is ErrOpen.
type OpenError struct {
	Live  string
	Since time.Time
	Media bool // Live is a directory
}

func (e *OpenError) Error() string {
	return fmt.Sprintf("%s, begun %s: %v", e.Live, e.Since.UTC().Format(time.RFC3339), ErrOpen)
}

// Is makes errors.Is(err, ErrOpen) true.
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// exchange carries out an intent: it is what a restore, an undo and a resume
// have in common.
type exchange struct {
	Options
	intent Intent
	began  time.Time
	swap   cutover.Result
	unwell error // why the application is not well after an undo
}

// backTime bounds, for each unit and for the swap, how long things are put back,
// which goes on when the context of the run has ended.
const backTime = 5 * time.Minute

func (x *exchange) backTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Duration(2*len(x.intent.Units)+1)*backTime)
}

func (x *exchange) unfinished(err error) error {
	return &UnfinishedError{Live: x.intent.Live, Err: err}
}

// errNoManager: an intent of a time when there was one.
var errNoManager = errors.New("units have to be started or stopped, but no service manager is configured")

// run exchanges the databases: units stopped, names swapped, units started, the
// application asked. After an error everything is as it was before, or the error
// says what is not; only a process that dies leaves its intent.
func (x *exchange) run(ctx context.Context) error {
	release, err := holdName(ctx, x.Admin, x.intent.Live)
	if err != nil {
		return err
	}
	defer release()
	x.intent.Stage = Stopping
	if err := x.Intents.begin(x.intent); err != nil {
		return err
	}
	x.Step("intent written")
	x.began = time.Now()
	if err := x.stop(ctx); err != nil {
		return x.abandon(ctx, err)
	}
	if err := x.advance(Swapping); err != nil {
		return x.abandon(ctx, err)
	}
	x.Report("swap", x.describe())
	swapped, err := x.swapIn(ctx)
	if errors.Is(err, errUndetermined) {
		return x.unfinished(err)
	}
	if !swapped {
		return x.abandon(ctx, err)
	}
	x.Step("swapped")
	return x.settle(ctx)
}

func (x *exchange) describe() string {
	if x.intent.Out == nil {
		return fmt.Sprintf("%s becomes %s", x.intent.In.Name, x.intent.Live)
	}
	return fmt.Sprintf("%s becomes %s, %s becomes %s", x.intent.Live, x.intent.Out.Aside, x.intent.In.Name, x.intent.Live)
}

func (x *exchange) stop(ctx context.Context) error {
	for _, u := range x.intent.Units {
		x.Report("stop", u)
	}
	if len(x.intent.Units) == 0 {
		return nil
	}
	if x.Units == nil {
		return errNoManager
	}
	err := x.Units.Stop(ctx, x.intent.Units)
	x.Step("stopped")
	return err
}

// advance records the next stage before it begins.
func (x *exchange) advance(s Stage) error {
	x.intent.Stage = s
	if err := x.Intents.write(x.intent); err != nil {
		return err
	}
	x.Step(string(s))
	return nil
}

// swapIn swaps the names and finds out whether it happened.
func (x *exchange) swapIn(ctx context.Context) (swapped bool, err error) {
	in, out := x.intent.In, x.intent.Out
	var renames []cutover.Rename
	if out != nil {
		origin := cutover.Origin{Forgectl: cutover.Before, Of: x.intent.Live, Run: x.intent.Run, Set: x.intent.Set, Comment: out.Comment}
		if x.intent.Action == actionUndo {
			origin.Forgectl = cutover.Undone
		}
		mark := origin.String()
		renames = append(renames, cutover.Rename{From: x.intent.Live, To: out.Aside, OID: out.OID, Comment: &mark})
	}
	renames = append(renames, cutover.Rename{From: in.Name, To: x.intent.Live, OID: in.OID, Comment: &in.Comment})
	return x.rename(ctx, renames, in.OID)
}

// rename runs a swap after which the database with that OID is to be live.
func (x *exchange) rename(ctx context.Context, renames []cutover.Rename, oid uint32) (bool, error) {
	var err error
	x.swap, err = cutover.Swap(ctx, cutover.Options{Admin: x.Admin, Renames: renames, Logger: x.Logger, Step: func(name string) { x.Step("swap " + name) }})
	if err == nil || !errors.Is(err, cutover.ErrUnknownOutcome) {
		return err == nil, err
	}
	look, cancel := context.WithTimeout(context.WithoutCancel(ctx), backTime)
	defer cancel()
	name, lookErr := nameOf(look, x.Admin, oid)
	if lookErr != nil {
		return false, fmt.Errorf("%w: %w; %w", errUndetermined, err, lookErr)
	}
	return name == x.intent.Live, err
}

// settle starts the application on the database that is live now and asks it; if
// it is not well, the old database comes back.
func (x *exchange) settle(ctx context.Context) error {
	if err := x.advance(Starting); err != nil {
		x.Logger.Warn("intent not updated", "error", err) // Swapping says as much to whoever resumes
	}
	starting := ctx
	if x.intent.Action == actionUndo { // nothing goes back: what was begun is seen through
		var cancel context.CancelFunc
		starting, cancel = x.backTimeout(ctx)
		defer cancel()
	}
	x.Swapped(starting)
	err := x.start(starting)
	if err != nil && x.intent.Action == actionUndo {
		// The intent stays: the units are to be seen to.
		return x.unfinished(fmt.Errorf("%s is swapped, but its units do not start: %w", x.intent.Live, err))
	}
	if err == nil {
		x.Step("started")
		err = x.ask(ctx)
	}
	if err == nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	switch {
	case err == nil:
		x.Step("well")
	case x.intent.Action == actionUndo:
		// Somebody has decided that this database is to be live. That it is not well
		// is to be said, and not a reason to decide otherwise.
		x.unwell = err
	default:
		return x.back(ctx, err)
	}
	return x.Intents.end(x.intent)
}

func (x *exchange) start(ctx context.Context) error {
	for _, u := range x.intent.Units {
		x.Report("start", u)
	}
	if len(x.intent.Units) == 0 {
		return nil
	}
	if x.Units == nil {
		return errNoManager
	}
	return x.Units.Start(ctx, x.intent.Units)
}

func (x *exchange) ask(ctx context.Context) error {
	if x.Gate == nil {
		return nil
	}
	x.Report("ask", "the application's health check")
	return x.Gate(ctx)
}

// abandon ends an exchange whose swap did not happen: the units run again.
func (x *exchange) abandon(ctx context.Context, reason error) error {
	if ctx.Err() != nil {
		reason = context.Cause(ctx)
	}
	back, cancel := x.backTimeout(ctx)
	defer cancel()
	if err := x.start(back); err != nil {
		// The intent stays: the units are to be seen to.
		return x.unfinished(fmt.Errorf("%w; and the units that were stopped do not start: %w", reason, err))
	}
	return errors.Join(reason, x.Intents.end(x.intent))
}

// back puts the old database in its place again.
func (x *exchange) back(ctx context.Context, reason error) error {
	if x.intent.Out == nil {
		// There was none before: a database with an application that is not well
		// beats no database at all.
		again, cancel := x.backTimeout(ctx)
		defer cancel()
		if err := x.start(again); err != nil {
			return x.unfinished(fmt.Errorf("%s is restored, but: %w", x.intent.Live, errors.Join(reason, err)))
		}
		return errors.Join(fmt.Errorf("%s is restored, but: %w", x.intent.Live, reason), x.Intents.end(x.intent))
	}
	ctx, cancel := x.backTimeout(ctx)
	defer cancel()
	x.Report("back", reason.Error())
	if err := x.advance(Returning); err != nil {
		x.Logger.Warn("intent not updated", "error", err)
	}
	kept := cutover.Name(x.intent.Live, cutover.Failed, x.intent.Run)
	trouble := x.stop(ctx)
	returned, err := x.swapBack(ctx, kept)
	if !returned {
		// The intent stays, so that resume can try again.
		return x.unfinished(errors.Join(fmt.Errorf("%s is the restored database, and the old one could not be put back: %w", x.intent.Live, reason), err, trouble, x.start(ctx)))
	}
	x.Step("swapped back")
	x.Swapped(ctx)
	trouble = errors.Join(trouble, x.start(ctx))
	if trouble == nil {
		trouble = x.Intents.end(x.intent)
	}
	return &ReturnedError{Live: x.intent.Live, Kept: kept, Reason: reason, Trouble: trouble}
}

func (x *exchange) swapBack(ctx context.Context, kept string) (bool, error) {
	in, out := x.intent.In, x.intent.Out
	mark := cutover.Origin{Forgectl: cutover.Failed, Of: x.intent.Live, Run: x.intent.Run, Set: x.intent.Set, Comment: in.Comment}.String()
	x.Report("swap", fmt.Sprintf("%s becomes %s, %s becomes %s", x.intent.Live, kept, out.Aside, x.intent.Live))
	return x.rename(ctx, []cutover.Rename{
		{From: x.intent.Live, To: kept, OID: in.OID, Comment: &mark},
		{From: out.Aside, To: x.intent.Live, OID: out.OID, Comment: &out.Comment},
	}, out.OID)
}

// nameOf is the name of the database with that OID, "" when there is none.
func nameOf(ctx context.Context, admin *postgres.Endpoint, oid uint32) (string, error) {
	conn, err := admin.ConnectPatient(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	// A session that was cut off may still be renaming it, and commit: what it has not decided yet is nobody's answer.
	for held := true; held; {
		err := conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_catalog.pg_locks WHERE locktype = 'object' AND classid = 'pg_catalog.pg_database'::regclass
			AND objid = $1 AND mode = 'AccessExclusiveLock' AND granted)`, oid).Scan(&held)
		if err == nil && held {
			select {
			case <-ctx.Done():
				err = fmt.Errorf("another session holds its name: %w", context.Cause(ctx))
			case <-time.After(50 * time.Millisecond):
			}
		}
		if err != nil {
			return "", fmt.Errorf("look up database %d: %w", oid, err)
		}
	}
	var name string
	err = conn.QueryRow(ctx, "SELECT coalesce((SELECT datname::text FROM pg_catalog.pg_database WHERE oid = $1), '')", oid).Scan(&name)
	if err != nil {
		return "", fmt.Errorf("look up database %d: %w", oid, err)
	}
	return name, nil
}

// holdName keeps other exchanges of a database away, of whatever user and host:
// the server itself knows of this one as long as the connection lives.
func holdName(ctx context.Context, admin *postgres.Endpoint, live string) (release func(), err error) {
	conn, err := admin.ConnectPatient(ctx)
	if err != nil {
		return nil, err
	}
	release = func() { _ = conn.Close(context.WithoutCancel(ctx)) }
	var held bool
	err = conn.QueryRow(ctx, "SELECT pg_catalog.pg_try_advisory_lock(hashtextextended('forgectl exchange ' || $1, 0))", live).Scan(&held)
	if err == nil && !held {
		err = fmt.Errorf("%s: %w", live, ErrElsewhere)
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// ErrElsewhere means that another process, perhaps of another user or host,
// exchanges the same database.
var ErrElsewhere = errors.New("another forgectl is exchanging it")

// oidOf is the OID of the database with that name.
func oidOf(ctx context.Context, admin *postgres.Endpoint, name string) (uint32, error) {
	conn, err := admin.Connect(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var oid uint32
	if err := conn.QueryRow(ctx, "SELECT oid FROM pg_catalog.pg_database WHERE datname = $1", name).Scan(&oid); err != nil {
		return 0, fmt.Errorf("look up database %s: %w", name, err)
	}
	return oid, nil
}
