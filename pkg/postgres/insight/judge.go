package insight

import (
	"fmt"
	"strings"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres"
)

func (r *ConnectionReport) find(level Level, remedy, format string, args ...any) {
	r.Findings = append(r.Findings, Finding{Level: level, Text: fmt.Sprintf(format, args...), Remedy: remedy})
	if level == Critical || r.Level == OK {
		r.Level = level
	}
}

// judge compares what was seen with the limits.
func (r *ConnectionReport) judge(now time.Time, l ConnectionLimits) {
	const more = "forgectl db connections --terminate-idle 30m; a lower CONN_MAX_AGE or a pooler keeps it so"
	text := fmt.Sprintf("%d of %d usable connections are taken (%.0f %%)", r.Used, r.Usable, 100*r.Part)
	switch {
	case r.Part >= l.Critical:
		r.find(Critical, more, "%s, from %.0f %% on is critical", text, 100*l.Critical)
	case r.Part >= l.Warning:
		r.find(Warning, more, "%s, from %.0f %% on is too near", text, 100*l.Warning)
	}
	for _, c := range r.Clients {
		end := fmt.Sprintf("SELECT pg_terminate_backend(%d);", c.PID)
		switch {
		case c.Own || c.Transaction == nil:
		case strings.HasPrefix(c.State, "idle in transaction") && c.Changed != nil && now.Sub(*c.Changed) > l.Idle:
			r.find(Warning, end, "session %d of %s is idle in a transaction for %s", c.PID, c.User, rough(now.Sub(*c.Changed)))
		case now.Sub(*c.Transaction) > l.Transaction:
			r.find(Warning, end, "the transaction of session %d of %s runs for %s", c.PID, c.User, rough(now.Sub(*c.Transaction)))
		}
	}
	for _, w := range r.Blocking {
		r.find(Warning, fmt.Sprintf("SELECT pg_terminate_backend(%d);", w.PID), "session %d of %s keeps %d waiting", w.PID, w.User, w.count())
	}
	for _, p := range r.Prepared {
		if now.Sub(p.Since) > l.Transaction {
			r.find(Warning, "ROLLBACK PREPARED "+postgres.QuoteLiteral(p.Name)+"; in the database "+p.Database+", if its coordinator is gone",
				"the prepared transaction %q of %s is %s old: it holds its locks, and VACUUM back", p.Name, p.Owner, rough(now.Sub(p.Since)))
		}
	}
	for _, s := range r.Slots {
		if s.Bytes >= l.SlotBytes && l.SlotBytes > 0 {
			state := "whose consumer is connected"
			if !s.Active {
				state = "which nobody uses"
			}
			r.find(Warning, "SELECT pg_drop_replication_slot("+postgres.QuoteLiteral(s.Name)+"); if its consumer is gone for good",
				"the slot %s, %s, holds %d MB of WAL", s.Name, state, s.Bytes>>20)
		}
	}
}

// count is how many wait, directly or not.
func (w Waiting) count() int {
	n := len(w.Waiters)
	for _, x := range w.Waiters {
		n += x.count()
	}
	return n
}

func rough(d time.Duration) string { return d.Round(time.Second).String() }

// advise is a paragraph for the settings of the application's pool.
func (r *ConnectionReport) advise(now time.Time) string {
	var idle, old int
	var longest time.Duration
	for _, c := range r.Clients {
		if c.State == "idle" && !c.Own {
			idle++
			if c.Changed != nil && now.Sub(*c.Changed) > 10*time.Minute {
				old++
			}
		}
		if c.State == "active" && !c.Own && c.Changed != nil {
			longest = max(longest, now.Sub(*c.Changed))
		}
	}
	text := fmt.Sprintf("Of %d usable connections %d are taken, %d of them idle, %d for more than 10 minutes. ", r.Usable, r.Used, idle, old)
	switch {
	case r.Part >= 0.8:
		text += "That is near the limit: CONN_MAX_AGE = 0 or 60 gives idle ones back, and a pooler lets many clients share few. "
	case r.Part >= 0.5:
		text += "CONN_MAX_AGE = 60 leaves room for more workers; each worker thread keeps one connection for so many seconds. "
	default:
		text += "There is room for CONN_MAX_AGE = 600, which saves a login for each request. "
	}
	text += "With any CONN_MAX_AGE but 0 set CONN_HEALTH_CHECKS = True, or the first requests after a restart of the server fail. "
	switch {
	case r.statementTimeout == 0:
		text += "No statement_timeout is set for this role: 'options': '-c statement_timeout=30000' ends a request that nobody waits for any more"
	default:
		text += fmt.Sprintf("statement_timeout is %s for this role", r.statementTimeout)
	}
	if longest > 30*time.Second {
		return text + fmt.Sprintf("; a statement runs for %s at this moment, so look at it before you set 30 seconds.", rough(longest))
	}
	return text + fmt.Sprintf("; the longest statement at this moment runs for %s.", rough(longest))
}
