package insight

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sys/unix"

	"github.com/bmad-forge/forgectl/pkg/postgres/bloat"
	"github.com/bmad-forge/forgectl/pkg/remember"
)

// SizeOptions is how the space is looked at.
type SizeOptions struct {
	Exact  bool          // with pgstattuple: everything is read
	Window time.Duration // over which growth is measured; 0: 30 days
	Limit  int           // tables; 0: all
}

// TableSize is what one table takes.
type TableSize struct {
	Table   string      `json:"table"`
	Rows    int64       `json:"rows"` // estimate; -1: unknown
	Total   int64       `json:"total_bytes"`
	Heap    bloat.Space `json:"heap"`
	Toast   bloat.Space `json:"toast"`
	Indexes bloat.Space `json:"indexes"`
	Growth  *int64      `json:"growth_bytes"` // in the window; nil: not known
}

// SizePoint is the size of the database at a time.
type SizePoint struct {
	At    time.Time `json:"at"`
	Bytes int64     `json:"bytes"`
}

// SizeReport is what forgectl db size shows.
type SizeReport struct {
	Head
	Bytes    int64       `json:"bytes"` // of the database, with all that belongs to it
	Tables   []TableSize `json:"tables"`
	Omitted  int         `json:"tables_omitted"`
	Sum      TableSize   `json:"sum"` // of all tables
	History  []SizePoint `json:"history"`
	PerDay   *float64    `json:"growth_bytes_per_day"`
	Free     *int64      `json:"disk_free_bytes"` // nil: the data is elsewhere, or nobody says where
	FullDays *float64    `json:"disk_full_days"`  // nil: it does not grow, or that is not known
}

// measured is what is remembered of sizes.
type measured struct {
	Bytes  int64            `json:"bytes"`
	Tables map[string]int64 `json:"tables"` // the largest ones
}

const (
	tablesKept    = 200
	defaultWindow = 30 * 24 * time.Hour
	// A rate over less than this says more about the last hour than about the disk.
	shortest = 6 * time.Hour
)

// Size looks at what takes the space.
func (s *Session) Size(ctx context.Context, o SizeOptions) (SizeReport, error) {
	r := SizeReport{Head: s.head(), Tables: []TableSize{}, History: []SizePoint{}}
	if o.Window <= 0 {
		o.Window = defaultWindow
	}
	err := s.reading(ctx, func(tx pgx.Tx) error {
		if err := s.server.Measure(ctx, tx); err != nil {
			return err
		}
		r.Bytes = s.server.DatabaseBytes
		f := bloat.Filter{Exact: o.Exact}
		tables, err := bloat.Tables(ctx, tx, f)
		if err != nil {
			return err
		}
		indexes, err := bloat.Indexes(ctx, tx, f)
		if err != nil {
			return err
		}
		r.Tables = append(r.Tables, tableSizes(tables, indexes)...)
		return nil
	})
	if err != nil {
		return r, err
	}
	r.Sum.Table = "all tables"
	for _, t := range r.Tables {
		r.Sum.Rows += max(t.Rows, 0)
		r.Sum.Total += t.Total
		r.Sum.Heap, r.Sum.Toast, r.Sum.Indexes = plus(r.Sum.Heap, t.Heap), plus(r.Sum.Toast, t.Toast), plus(r.Sum.Indexes, t.Indexes)
	}
	s.grow(ctx, &r, o)
	s.disk(&r)
	if o.Limit > 0 && len(r.Tables) > o.Limit {
		r.Omitted = len(r.Tables) - o.Limit
		r.Tables = r.Tables[:o.Limit]
	}
	return r, nil
}

func tableSizes(tables []bloat.Table, indexes []bloat.Index) []TableSize {
	sizes := make([]TableSize, 0, len(tables))
	at := map[uint32]int{}
	for i, t := range tables {
		at[t.OID] = i
		sizes = append(sizes, TableSize{Table: t.Schema + "." + t.Name, Rows: t.Rows, Heap: t.Heap, Toast: t.Toast, Total: t.Heap.Bytes + t.Toast.Bytes})
	}
	for _, x := range indexes {
		if i, ok := at[x.TableOID]; ok {
			sizes[i].Indexes = plus(sizes[i].Indexes, x.Space)
			sizes[i].Total += x.Space.Bytes
		}
	}
	slices.SortStableFunc(sizes, func(a, b TableSize) int { return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Table, b.Table)) })
	return sizes
}

// plus adds up spaces. What is known worst tells how the sum is known: a part of it
// that nobody can say anything of makes the dead space one of at least.
func plus(a, b bloat.Space) bloat.Space {
	rank := []bloat.How{"", bloat.Exact, bloat.Estimate, bloat.FreeMap, bloat.Unknown}
	sum := bloat.Space{Bytes: a.Bytes + b.Bytes, Dead: a.Dead + b.Dead, How: a.How, Why: a.Why}
	if b.Bytes > 0 && slices.Index(rank, b.How) > slices.Index(rank, a.How) || a.How == "" {
		sum.How, sum.Why = b.How, b.Why
	}
	return sum
}

// grow compares with what is remembered, and remembers.
func (s *Session) grow(ctx context.Context, r *SizeReport, o SizeOptions) {
	now := s.o.Now().UTC()
	var base *remember.Entry[measured]
	entries := recall[measured](s, &r.Head, "size")
	for i := range entries {
		r.History = append(r.History, SizePoint{entries[i].At, entries[i].Data.Bytes})
		if base == nil && now.Sub(entries[i].At) <= o.Window {
			base = &entries[i]
		}
	}
	r.History = append(r.History, SizePoint{now, r.Bytes})
	kept := measured{Bytes: r.Bytes, Tables: map[string]int64{}}
	for i, t := range r.Tables {
		if i < tablesKept {
			kept.Tables[t.Table] = t.Total
		}
	}
	keep(ctx, s, &r.Head, "size", remember.Keep{Thin: true}, kept)
	if base == nil || now.Sub(base.At) < shortest {
		return
	}
	days := now.Sub(base.At).Hours() / 24
	rate := float64(r.Bytes-base.Data.Bytes) / days
	r.PerDay = &rate
	for i := range r.Tables {
		if before, ok := base.Data.Tables[r.Tables[i].Table]; ok {
			grown := r.Tables[i].Total - before
			r.Tables[i].Growth = &grown
		}
	}
}

// disk asks how much room there is, where the data is on this host.
func (s *Session) disk(r *SizeReport) {
	switch {
	case !s.o.Endpoint.OnThisHost():
		r.note("the server is on another host: its disk is not looked at")
		return
	case s.server.DataDirectory == "":
		r.note("role %s does not see where the data is: GRANT pg_read_all_settings, or pg_monitor", s.server.Role)
		return
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(s.server.DataDirectory, &fs); err != nil {
		r.note("the free space at %s cannot be seen by this user: %v", s.server.DataDirectory, err)
		return
	}
	free := int64(fs.Bavail) * fs.Bsize
	r.Free = &free
	if r.PerDay != nil && *r.PerDay > 0 {
		days := float64(free) / *r.PerDay
		r.FullDays = &days
	}
}
