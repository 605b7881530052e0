package maintain

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// Item is a table and what is going to be done with it.
type Item struct {
	Table
	Action   Action
	Reasons  []string
	Gain     Gain
	Estimate Estimate
	Locked   bool // nobody can use the table meanwhile

	analyze bool // also ANALYZE
	at      int  // its place in the plan, from 1 on
}

// Left is a table that will not be worked on although it would be its turn.
type Left struct {
	Table
	Why    string
	Remedy string // SQL, or what else mends it
}

// Plan is what Run is going to do. Making it changes nothing.
type Plan struct {
	Database  string
	OID       uint32 // of the database
	Server    postgres.Server
	Items     []Item // in the order in which they begin
	Left      []Left
	Leftovers []Leftover // of rebuildings that died earlier
	Drop      bool       // they will be removed
	Ages      Ages
	Space     Space
	Until     time.Time // end of the window; zero: none is needed
	Locks     bool      // tables are locked

	action  Action
	invalid map[uint32]bool // indexes that look like leftovers, by OID, whosever they are
}

// MakePlan looks at everything and decides. It returns ErrStandby, ErrNotFound,
// or a *postgres.ConnectError, ErrPooled; not yet a *WindowError, which is Run's.
func MakePlan(ctx context.Context, o Options) (Plan, error) {
	o = o.withDefaults()
	conn, err := openCatalog(ctx, o.Endpoint)
	if err != nil {
		return Plan{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	plan, _, err := makePlan(ctx, conn, o)
	return plan, err
}

// openCatalog opens a session that reads catalogs, and waits for nothing.
func openCatalog(ctx context.Context, e *postgres.Endpoint) (*pgx.Conn, error) {
	conn, err := e.ConnectPatient(ctx)
	if err != nil {
		return nil, err
	}
	// Thousands of tables make a plan look expensive that is not, hence no jit.
	sql := fmt.Sprintf("SET statement_timeout = %d; SET lock_timeout = 1000; SET jit = off", catalogTimeout.Milliseconds())
	if err := set(ctx, conn, sql); err != nil {
		_ = conn.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return conn, nil
}

// makePlan also returns the options with what only the server knows.
func makePlan(ctx context.Context, conn *pgx.Conn, o Options) (Plan, Options, error) {
	server, err := postgres.Facts(ctx, conn)
	if err != nil {
		return Plan{}, o, err
	}
	p := Plan{Database: o.Endpoint.Database(), Server: server, Locks: o.locks(), Drop: o.DropLeftovers, action: o.Action}
	o.role, o.major = server.Role, server.Version.Major()
	if server.Standby {
		return p, o, ErrStandby
	}
	scope, err := readScope(ctx, conn, o)
	if err != nil {
		return p, o, err
	}
	if p.OID, p.Ages, err = readDatabase(ctx, conn); err != nil {
		return p, o, err
	}
	tables, err := readTables(ctx, conn, server.Version, nil)
	if err != nil {
		return p, o, err
	}
	gains, err := readGains(ctx, conn, tables, o, scope)
	if err != nil {
		return p, o, err
	}
	now := o.Now()
	var past []Record
	if o.Past != nil {
		past = o.Past(p)
	}
	temporary, err := readTemporary(ctx, conn, o, p.Ages)
	if err != nil {
		return p, o, err
	}
	p.Items, p.Left = choose(tables, gains, o, scope, now)
	p.Left = append(p.Left, temporary...)
	for i := range p.Items {
		item := &p.Items[i]
		item.Gain = gains.of(*item)
		item.Locked = item.Action == Full || item.Action == Reindex && o.Blocking
		item.Estimate = estimate(*item, past)
	}
	invalid, err := readLeftovers(ctx, conn)
	if err != nil {
		return p, o, err
	}
	p.Leftovers = leftoversOf(invalid, scope, tables)
	p.invalid = map[uint32]bool{}
	for _, l := range invalid {
		p.invalid[l.OID] = true
	}
	p.Space = o.space(server)
	p.leaveWhatDoesNotFit(o)
	if p.Locks {
		p.Until, _ = o.Window.Open(now)
	}
	return p, o, nil
}

// inWindow refuses to lock tables at any time but the one that is meant for it.
func (p Plan) inWindow(o Options) error {
	if !p.Locks || o.Force || !p.Until.IsZero() && o.Now().Before(p.Until) {
		return nil
	}
	return &WindowError{Window: o.Window.String(), Next: o.Window.Next(o.Now())}
}

// leaveWhatDoesNotFit takes out what the disk has no room for, or the window no time.
func (p *Plan) leaveWhatDoesNotFit(o Options) {
	until, open := o.Window.Open(o.Now())
	limited := p.Locks && !o.Force && open
	var items []Item
	for _, item := range p.Items {
		need := copied(item)
		switch free, err := p.Space.free(item.Tablespace); {
		case need > 0 && err == nil && free < need:
			p.Left = append(p.Left, Left{Table: item.Table, Why: fmt.Sprintf("a copy of it needs %s bytes, and %s are free in %s", count(need), count(free), p.Space.dir(item.Tablespace)), Remedy: "make room there"})
		case limited && item.Estimate.FromRecords && o.Now().Add(item.Estimate.Time).After(until):
			p.Left = append(p.Left, Left{Table: item.Table, Why: fmt.Sprintf("it takes about %s, and the window ends at %s", item.Estimate.Time.Round(time.Second), until.Format("15:04 MST")), Remedy: "a longer maintenance.window"})
		default:
			item.at = len(items) + 1
			items = append(items, item)
		}
	}
	p.Items = items
}

// Rebuilds reports whether indexes are rebuilt.
func (p Plan) Rebuilds() bool { return p.action == Reindex }

// Copies reports whether anything is written anew beside what is there.
func (p Plan) Copies() bool {
	for _, item := range p.Items {
		if copied(item) > 0 {
			return true
		}
	}
	return false
}

// errNoSpace is a copy for which there is no room any more.
var errNoSpace = errors.New("there is no room for a copy")
