package insight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bmad-forge/forgectl/pkg/remember"
)

// StatementsError means that pg_stat_statements cannot be asked. Hint says how to
// come by it.
type StatementsError struct{ Why, Hint string }

func (e *StatementsError) Error() string { return "pg_stat_statements: " + e.Why }

// ErrNoSnapshot means that nothing is remembered from so long ago.
var ErrNoSnapshot = errors.New("nothing is remembered from before that time")

// SlowOrders are what statements can be sorted by.
var SlowOrders = []string{"total", "mean", "calls", "rows", "temp", "reads", "wal"}

// SlowOptions chooses statements.
type SlowOptions struct {
	By      string        // one of SlowOrders; "": total
	Limit   int           // 0: all
	Since   time.Duration // compare with what was remembered so long ago; 0: since the counters began
	Explain int           // the so manieth of the list; 0: none
}

// Statement is one kind of statement, its constants taken out by the server.
type Statement struct {
	ID    int64  `json:"query_id"`
	Query string `json:"query"`
	Figures
	MeanMS float64 `json:"mean_ms"`
	Share  float64 `json:"share"` // of the time of all, from 0 to 1

	text string // as the server has it: it may hold secrets
}

// Figures are the counters of a statement.
type Figures struct {
	Calls   int64   `json:"calls"`
	TotalMS float64 `json:"total_ms"`
	Rows    int64   `json:"rows"`
	Temp    int64   `json:"temp_blocks"`
	Reads   int64   `json:"read_blocks"`
	ReadMS  float64 `json:"read_ms"` // 0 without track_io_timing
	WAL     int64   `json:"wal_bytes"`
}

func (f Figures) minus(g Figures) Figures {
	return Figures{f.Calls - g.Calls, f.TotalMS - g.TotalMS, f.Rows - g.Rows, f.Temp - g.Temp, f.Reads - g.Reads, f.ReadMS - g.ReadMS, f.WAL - g.WAL}
}

// SlowReport is what forgectl db slow shows.
type SlowReport struct {
	Head
	Since      *time.Time  `json:"since"` // nil: the server does not say
	Extension  string      `json:"extension_version"`
	TotalMS    float64     `json:"total_ms"` // of all statements
	Statements []Statement `json:"statements"`
	Plan       *Plan       `json:"plan,omitempty"`
}

// Plan is how a statement would be carried out.
type Plan struct {
	Number int      `json:"number"`
	Lines  []string `json:"lines"`
	Why    string   `json:"why,omitempty"` // there is none
}

// Slow lists the statements that cost most in this database.
func (s *Session) Slow(ctx context.Context, o SlowOptions) (SlowReport, error) {
	r := SlowReport{Head: s.head(), Statements: []Statement{}}
	var all []Statement
	err := s.reading(ctx, func(tx pgx.Tx) error {
		v, err := s.findStatements(ctx, tx)
		if err != nil {
			return err
		}
		r.Extension = v.version
		if r.Since, err = v.since(ctx, tx, &r.Head); err != nil {
			return err
		}
		all, err = v.read(ctx, tx)
		return err
	})
	if err != nil {
		return r, err
	}
	if err := s.compare(ctx, &r, &all, o.Since); err != nil {
		return r, err
	}
	for i := range all {
		r.TotalMS += all[i].TotalMS
	}
	for i := range all {
		if all[i].Calls > 0 {
			all[i].MeanMS = all[i].TotalMS / float64(all[i].Calls)
		}
		if r.TotalMS > 0 {
			all[i].Share = all[i].TotalMS / r.TotalMS
		}
	}
	slices.SortFunc(all, func(a, b Statement) int {
		return cmp.Or(cmp.Compare(b.measure(o.By), a.measure(o.By)), cmp.Compare(b.TotalMS, a.TotalMS), cmp.Compare(a.ID, b.ID))
	})
	if o.Limit > 0 && len(all) > o.Limit {
		all = all[:o.Limit]
	}
	r.Statements = append(r.Statements, all...)
	if o.Explain > 0 {
		r.Plan, err = s.explain(ctx, all, o.Explain)
	}
	return r, err
}

func (st Statement) measure(by string) float64 {
	switch by {
	case "mean":
		return st.MeanMS
	case "calls":
		return float64(st.Calls)
	case "rows":
		return float64(st.Rows)
	case "temp":
		return float64(st.Temp)
	case "reads":
		return float64(st.Reads)
	case "wal":
		return float64(st.WAL)
	}
	return st.TotalMS
}

// tally is what is remembered of all statements.
type tally struct {
	Reset      *time.Time        `json:"reset,omitempty"`
	Statements map[int64]Figures `json:"statements"`
}

// statementsKept bounds a tally, by time.
const statementsKept = 2000

// compare takes off what was there before, and remembers what is there now.
func (s *Session) compare(ctx context.Context, r *SlowReport, all *[]Statement, since time.Duration) error {
	now := tally{Reset: r.Since, Statements: map[int64]Figures{}}
	slices.SortFunc(*all, func(a, b Statement) int { return cmp.Compare(b.TotalMS, a.TotalMS) })
	for i, st := range *all {
		if i < statementsKept {
			now.Statements[st.ID] = st.Figures
		}
	}
	entries := recall[tally](s, &r.Head, "statements")
	defer keep(ctx, s, &r.Head, "statements", remember.Keep{Thin: true}, now)
	if since <= 0 {
		return nil
	}
	at := s.o.Now().Add(-since)
	var base *remember.Entry[tally]
	for i := range entries {
		if !entries[i].At.After(at) {
			base = &entries[i]
		}
	}
	if base == nil {
		return fmt.Errorf("compare with %s ago: %w", since, ErrNoSnapshot)
	}
	if !sameTime(base.Data.Reset, r.Since) {
		r.note("the counters were reset after %s: what is shown is since then only", base.At.Format(time.DateTime))
		return nil
	}
	began := base.At
	r.Since = &began
	*all = slices.DeleteFunc(*all, func(st Statement) bool { return st.Figures == base.Data.Statements[st.ID] })
	for i := range *all {
		st := &(*all)[i]
		if old := base.Data.Statements[st.ID]; old.Calls <= st.Calls { // else it was evicted meanwhile, and began anew
			st.Figures = st.minus(old)
		}
	}
	return nil
}

// explain asks for the plan of a statement without parameters. Nothing of it is
// carried out.
func (s *Session) explain(ctx context.Context, list []Statement, number int) (*Plan, error) {
	p := &Plan{Number: number, Lines: []string{}}
	if number > len(list) {
		p.Why = fmt.Sprintf("there are only %d statements", len(list))
		return p, nil
	}
	text := list[number-1].text
	switch {
	case parameter(text):
		p.Why = "it has parameters, whose values nobody knows"
		return p, nil
	case !plannable(text):
		p.Why = "only SELECT, INSERT, UPDATE, DELETE, MERGE, VALUES and WITH have plans"
		return p, nil
	}
	type row struct{ Line string }
	err := s.reading(ctx, func(tx pgx.Tx) error {
		rows, err := collect[row](ctx, tx, "a plan", "EXPLAIN "+text)
		for _, r := range rows {
			p.Lines = append(p.Lines, r.Line)
		}
		return err
	})
	if len(p.Lines) > 0 { // a constant may go over several lines
		p.Lines = strings.Split(Mask(strings.Join(p.Lines, "\n")), "\n")
	}
	if err != nil && ctx.Err() == nil {
		p.Why, err = Mask(err.Error()), nil
	}
	return p, err
}

// parameter reports whether there is a $1 outside of constants and comments.
func parameter(sql string) bool {
	for i := 0; i < len(sql); {
		n := tokenLength(sql[i:])
		if n == 1 && sql[i] == '$' && i+1 < len(sql) && sql[i+1] >= '0' && sql[i+1] <= '9' {
			return true
		}
		i += n
	}
	return false
}

func plannable(sql string) bool {
	for sql = strings.TrimSpace(sql); strings.HasPrefix(sql, "--") || strings.HasPrefix(sql, "/*"); {
		sql = strings.TrimSpace(sql[tokenLength(sql):])
	}
	first := strings.ToUpper(word.FindString(sql))
	return slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "VALUES", "WITH"}, first)
}
