package maintain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

// choose decides what is done with which table, the largest first. It is a pure
// function of what the catalog said.
func choose(tables []Table, gains gains, o Options, scope scope, now time.Time) (items []Item, left []Left) {
	roots := map[uint32]Table{}
	for _, t := range tables {
		if t.Kind == 'p' && t.Root == 0 {
			roots[t.OID] = t
		}
	}
	for _, t := range tables {
		if !scope.has(t) || !concerned(t, o, scope) {
			continue
		}
		action, reasons := needed(t, gains, o, now)
		if action == "" {
			continue
		}
		if why, remedy := unable(t, o); why != "" {
			if !t.System || scope.named(t) { // nobody expects the rights of a superuser
				left = append(left, Left{Table: t, Why: why, Remedy: remedy})
			}
			continue
		}
		item := Item{Table: t, Action: action, Reasons: reasons, analyze: action == Vacuum || action == Full}
		// The ANALYZE of a partitioned table does all of its partitions too.
		if root, ok := roots[t.Root]; ok && !o.Need.any() && scope.has(root) && root.mayVacuum {
			if action == Analyze {
				continue
			}
			item.analyze = item.analyze && o.Action == Full
		}
		items = append(items, item)
	}
	slices.SortStableFunc(items, func(a, b Item) int {
		if (a.Kind == 'p') != (b.Kind == 'p') { // after its partitions
			if a.Kind == 'p' {
				return 1
			}
			return -1
		}
		switch {
		case a.Bytes() > b.Bytes():
			return -1
		case a.Bytes() < b.Bytes():
			return 1
		}
		return strings.Compare(a.Name(), b.Name())
	})
	return items, left
}

// concerned reports whether the action is one for this kind of table.
func concerned(t Table, o Options, scope scope) bool {
	switch {
	case t.Kind == 'f': // sampling it costs another server
		return o.Action == Analyze && scope.named(t)
	case t.Kind == 'p': // it has no rows of its own, and autovacuum never analyzes it
		return o.Action != Reindex && t.Root == 0 && (!o.Need.any() || o.Need.StaleAnalyze > 0)
	case o.Action == Reindex:
		// The indexes of the catalog cannot be rebuilt without locks that stop everybody.
		return (t.IndexCount > 0 || t.TOASTTable != 0) && (!t.System || o.Blocking && scope.named(t))
	case o.Action == Full:
		return !t.System || scope.named(t)
	}
	return true
}

// needed says what a table needs, and why; "" is nothing.
func needed(t Table, gains gains, o Options, now time.Time) (Action, []string) {
	n := o.Need
	if t.Bytes() < n.Size && t.Kind != 'p' {
		return "", nil
	}
	if !n.any() {
		action := o.Action
		if t.Kind == 'p' || t.Kind == 'f' {
			action = Analyze
		}
		return action, []string{"all are wanted"}
	}
	var reasons []string
	if o.Action != Analyze && t.Kind != 'p' {
		if why := dead(t, gains, o); why != "" {
			reasons = append(reasons, why)
		}
		if n.XIDAge > 0 && t.XIDAge >= n.XIDAge {
			reasons = append(reasons, "xid age "+count(t.XIDAge))
		}
	}
	action := o.Action
	why := stale(t, n, now)
	if why == "" && len(reasons) == 0 {
		return "", nil
	}
	if len(reasons) == 0 {
		action = Analyze
	}
	if why != "" {
		reasons = append(reasons, why)
	}
	return action, reasons
}

// dead says whether enough of a table is wasted: rows for a VACUUM, space for
// what writes it anew.
func dead(t Table, gains gains, o Options) string {
	n := o.Need
	if n.DeadRatio <= 0 && n.DeadRows <= 0 {
		return ""
	}
	ratio, what := t.DeadRatio(), "dead"
	if o.Action == Full || o.Action == Reindex {
		ratio, what = gains.ratio(t, o.Action), "wasted"
	}
	if ratio < n.DeadRatio || t.Dead < n.DeadRows {
		return ""
	}
	return fmt.Sprintf("%.0f %% %s", ratio*100, what)
}

func stale(t Table, n Need, now time.Time) string {
	switch {
	case n.StaleAnalyze <= 0 || t.Kind == 'f':
		return ""
	case t.Analyzed.IsZero():
		return "never analyzed"
	case now.Sub(t.Analyzed) < n.StaleAnalyze || t.Modified == 0 && t.Kind != 'p':
		return ""
	}
	return fmt.Sprintf("analyzed %s ago", days(now.Sub(t.Analyzed)))
}

// unable says why the role cannot do it, and what mends that.
func unable(t Table, o Options) (why, remedy string) {
	if t.mayVacuum && (o.Action != Reindex || t.mayReindex) {
		return "", ""
	}
	role := postgres.QuoteIdent(o.role)
	remedy = fmt.Sprintf("GRANT %s TO %s;", postgres.QuoteIdent(t.Owner), role)
	if o.major >= 17 {
		remedy = fmt.Sprintf("GRANT MAINTAIN ON TABLE %s TO %s;", t.SQL(), role)
	}
	if t.Shared || t.System {
		remedy = "connect as a superuser: database.maintenance_url"
	}
	return fmt.Sprintf("%s may not %s it: it belongs to %s", o.role, o.Action.verb(), t.Owner), remedy
}

// count writes a number in groups.
func count(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:]
	}
	return s
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}
