package maintain

import (
	"context"
	"log/slog"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
	"github.com/bmad-forge/forgectl/pkg/window"
)

// Action is what is done with a table.
type Action string

// The actions.
const (
	Vacuum  Action = "vacuum"  // VACUUM, with ANALYZE
	Full    Action = "full"    // VACUUM FULL, with ANALYZE: writes the table anew, under an exclusive lock
	Reindex Action = "reindex" // all indexes of the table anew
	Analyze Action = "analyze" // ANALYZE alone
)

// verb is what one does to a table, for people.
func (a Action) verb() string {
	if a == Full {
		return string(Vacuum)
	}
	return string(a)
}

// Options of MakePlan and Run. Endpoint is required.
type Options struct {
	Endpoint *postgres.Endpoint
	Action   Action // default Vacuum
	Freeze   bool   // with Vacuum and Full: freeze all rows
	Blocking bool   // Reindex without CONCURRENTLY: shorter, but nobody can use the table meanwhile
	Schemas  []string
	Tables   []string // as written in SQL, with or without a schema; of a partitioned table all partitions
	Need     Need
	Jobs     int // tables at once; default 1

	LockTimeout     time.Duration // for the acquisition of locks; default 2s
	TransactionWait time.Duration // for transactions that are older than a concurrent rebuilding; default 10m
	DropLeftovers   bool          // remove what earlier rebuildings have left

	// Window is when what locks tables may run; Force is at any time.
	Window window.Window
	Force  bool

	// Past returns the records of earlier runs on the database of the plan, which
	// has no tables yet, for estimates of how long it takes; nil: none are known.
	Past func(Plan) []Record

	// Confirm is asked before tables are locked, never otherwise; an error ends the run.
	Confirm func(context.Context, Plan) error
	// Progress hears what the server says of the largest table in work, about
	// once a second; done and total are bytes, or 0.
	Progress func(what string, done, total int64)
	Free     func(path string) (int64, error) // free bytes of a file system; nil: unknown
	Now      func() time.Time
	Logger   *slog.Logger // nil: silent

	step  func(string)  // tests: called at the named points
	every time.Duration // of Progress; tests have no second to wait
	role  string        // of the connection; known once it is made
	major int           // of the server
}

// Need chooses tables. The zero value chooses all of them.
//
// DeadRatio and DeadRows must both be reached where both are given. XIDAge and
// StaleAnalyze are reasons by themselves. What is smaller than Size is left out,
// whatever its state.
type Need struct {
	DeadRatio    float64 // share of dead rows; for Full and Reindex, of space that is estimated to be wasted, 0 to 1
	DeadRows     int64
	XIDAge       int64
	Size         int64         // bytes, with indexes and TOAST
	StaleAnalyze time.Duration // changed since it was analyzed, and that is longer ago
}

// any reports whether something has to be reached at all.
func (n Need) any() bool {
	return n.DeadRatio > 0 || n.DeadRows > 0 || n.XIDAge > 0 || n.StaleAnalyze > 0
}

const (
	defaultLockTimeout     = 2 * time.Second
	defaultTransactionWait = 10 * time.Minute
	catalogTimeout         = 30 * time.Second // of each query of the catalog
	afterwards             = 30 * time.Second // to clean up and measure when the context has ended
)

func (o Options) withDefaults() Options {
	if o.Action == "" {
		o.Action = Vacuum
	}
	o.Jobs = max(o.Jobs, 1)
	if o.LockTimeout <= 0 {
		o.LockTimeout = defaultLockTimeout
	}
	if o.TransactionWait <= 0 {
		o.TransactionWait = defaultTransactionWait
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.every == 0 {
		o.every = showEvery
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.step == nil {
		o.step = func(string) {}
	}
	return o
}

// locks reports whether the application is kept out of a table while it is
// worked on.
func (o Options) locks() bool { return o.Action == Full || o.Action == Reindex && o.Blocking }
