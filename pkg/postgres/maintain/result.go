package maintain

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// TableResult is what became of one table.
type TableResult struct {
	Item
	Outcome  Outcome
	Why      string // for everything but Done
	Remedy   string
	Warnings []string // of the server
	Seconds  float64
	After    *Table // nil when it is gone, or could not be measured
}

// Reclaimed is how many bytes went back to the file system; negative where the
// table grew meanwhile.
func (t TableResult) Reclaimed() int64 {
	if t.After == nil {
		return 0
	}
	return t.Bytes() - t.After.Bytes()
}

// recognize finds that a table was done although the statement that it was in, with
// others, was stopped.
func (t *TableResult) recognize() {
	if t.Outcome == Interrupted && t.Action == Vacuum && t.After.Vacuumed.After(t.Vacuumed) && (!t.analyze || t.After.Analyzed.After(t.Analyzed)) {
		t.Outcome, t.Why = Done, ""
	}
}

// Result is what Run did.
type Result struct {
	Plan      Plan
	Tables    []TableResult // in the order of the plan
	Ages      Ages          // afterwards
	Dropped   []Leftover    // of earlier runs, removed
	Remain    []Leftover    // that could not be removed
	Doubts    []string      // what nobody could look at
	Seconds   float64
	Reclaimed int64
	Records   []Record // for later runs
	Measured  bool     // sizes and ages afterwards are known
}

// Count is how many tables had an outcome.
func (r Result) Count(o Outcome) (n int) {
	for _, t := range r.Tables {
		if t.Outcome == o {
			n++
		}
	}
	return n
}

// measure looks at what was planned again, also when the context has ended.
func (r *run) measure(ctx context.Context, conn *pgx.Conn, started time.Time) Result {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), afterwards)
	defer cancel()
	result := Result{Plan: r.plan, Dropped: r.dropped, Remain: r.remain, Doubts: r.doubts, Ages: r.plan.Ages, Seconds: r.o.Now().Sub(started).Seconds()}
	after := map[uint32]Table{}
	planned := []int64{}
	for _, item := range r.plan.Items {
		planned = append(planned, int64(item.OID))
	}
	tables, err := readTables(ctx, conn, r.plan.Server.Version, planned)
	if err == nil {
		for _, t := range tables {
			after[t.OID] = t
		}
		var ages Ages
		if _, ages, err = readDatabase(ctx, conn); err == nil {
			result.Ages = ages
		}
	}
	result.Measured = err == nil
	if err != nil {
		result.Doubts = append(result.Doubts, fmt.Sprintf("sizes and ages after the run are not known: %v", err))
	}
	now := r.o.Now()
	for _, item := range r.plan.Items {
		t := *r.results[item.OID]
		if a, ok := after[item.OID]; ok {
			t.After = &a
			t.recognize()
		}
		result.Reclaimed += t.Reclaimed()
		if t.Outcome == Done && t.Seconds > 0 {
			result.Records = append(result.Records, Record{t.Name(), t.Action, t.Bytes(), t.Reclaimed(), t.Seconds, now})
		}
		result.Tables = append(result.Tables, t)
	}
	return result
}

// failed is the error for tables that something went wrong with.
func (r Result) failed() error {
	e := &FailedError{}
	for _, t := range r.Tables {
		if t.Outcome == Failed {
			e.Tables = append(e.Tables, t)
		}
	}
	if len(e.Tables) == 0 {
		return nil
	}
	return e
}

// Warnings is what somebody should see to: what was left, and why.
func (r Result) Warnings() []string {
	list := r.Plan.Warnings()
	for _, t := range r.Tables {
		for _, w := range t.Warnings {
			list = append(list, fmt.Sprintf("%s of %s: %s", t.Action, t.Name(), w))
		}
		switch t.Outcome {
		case Skipped, Interrupted:
			list = append(list, skippedText(t))
		case Done, Gone, Failed, NotStarted:
		}
	}
	if n := r.Count(NotStarted); n > 0 {
		list = append(list, fmt.Sprintf("%d of %d tables were not begun", n, len(r.Tables)))
	}
	for _, l := range r.Remain {
		list = append(list, fmt.Sprintf("%s of %s is an invalid index that could not be removed\n%s;", l.Index, l.Of, l.SQL()))
	}
	return append(list, r.Doubts...)
}

// Warnings is what the plan leaves, and why.
func (p Plan) Warnings() (list []string) {
	for _, l := range p.Left {
		text := l.Name() + " is left: " + l.Why
		if l.Remedy != "" {
			text += "\n" + l.Remedy
		}
		list = append(list, text)
	}
	return list
}
