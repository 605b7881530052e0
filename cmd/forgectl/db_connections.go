package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/postgres/insight"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newDBConnectionsCmd(app *App) *cobra.Command {
	var idle time.Duration
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "connections",
		Short: "Show who is connected, who waits for whom, and what is left",
		Long: `Counts the connections by state, user, application and address, against what
max_connections leaves when the reserved ones are taken off. From 80 % on that is a
WARNING, from 95 % on CRITICAL. Old transactions, sessions that are idle within one,
sessions that wait for a lock (as a tree below the one that holds it, with its
statement), prepared transactions and replication slots that hold WAL are a WARNING each,
with the statement that ends them. The last paragraph is about the settings of the
application's pool, with the figures that it rests on. Quoted constants are masked.

--terminate-idle 30m ends the sessions of this database that have done nothing for that
long, also within a transaction. It shows them, asks for confirmation (or takes --yes),
and spares those of forgectl and of superusers. A session that did something meanwhile
stays. The role needs pg_signal_backend for sessions of others. --dry-run only shows them.

With -o json: {"database", "server", "standby", "notes", "max_connections", "reserved",
"usable", "used", "part", "level", "groups": [{"by", "name", "count"}], "clients",
"blocking": [{"pid", "query", "state", "user", "waiters"}], "prepared", "slots",
"findings": [{"level", "text", "remedy"}], "advice"}; with --terminate-idle:
{"planned": [PID], "ended": [PID], "spared": [TEXT]}.`,
		Example: `  forgectl db connections
  forgectl db connections --warning 70% --critical 90%
  forgectl db connections --terminate-idle 30m --dry-run
  forgectl db connections --terminate-idle 30m`,
		Annotations: operationCodes(),
		Args:        cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			given := cmd.Flags().Changed("terminate-idle")
			switch {
			case given && idle < time.Second:
				return app.misuse("--terminate-idle %s: must be at least 1s", idle)
			case dryRun && !given:
				return app.misuse("--dry-run is for --terminate-idle: without it nothing is changed")
			case given:
				return app.terminateIdle(cmd.Context(), idle, dryRun)
			}
			return app.showConnections(cmd.Context())
		},
	}
	threshold(cmd, "warning", "connections_warning", "WARNING from this `PERCENT` of the usable connections on")
	threshold(cmd, "critical", "connections_critical", "CRITICAL from this `PERCENT` on")
	threshold(cmd, "transaction", "transaction", "WARNING when a transaction is older than this `TIME`")
	threshold(cmd, "idle-in-transaction", "idle_in_transaction", "WARNING when a session is idle in a transaction for this `TIME`")
	threshold(cmd, "slot-wal", "slot_wal", "WARNING when a replication slot holds so many `BYTES` of WAL")
	cmd.Flags().DurationVar(&idle, "terminate-idle", 0, "end sessions that have been idle for this `TIME`, after confirmation")
	complete(cmd, "terminate-idle", cobra.NoFileCompletions)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only show which sessions --terminate-idle would end")
	return cmd
}

func (a *App) connections(ctx context.Context) (*insight.Session, insight.ConnectionReport, error) {
	s, err := a.insight(ctx)
	if err != nil {
		return nil, insight.ConnectionReport{}, err
	}
	c := a.loaded.Checks
	r, err := s.Connections(ctx, insight.ConnectionLimits{
		Warning: part(c.ConnectionsWarning), Critical: part(c.ConnectionsCritical), Transaction: c.Transaction, Idle: c.IdleInTransaction, SlotBytes: c.SlotWAL,
	})
	return s, r, err
}

func (a *App) showConnections(ctx context.Context) error {
	_, r, err := a.connections(ctx)
	if err != nil {
		return err
	}
	a.notes(r.Head)
	err = a.show(result{JSON: r, Text: func(s *ui.Streams) error { return a.connectionTables(s, r) }})
	for _, f := range r.Findings {
		if f.Level == insight.Critical {
			err = all(err, withHint(withCode(exitCritical, fmt.Errorf("%s", f.Text)), "%s", f.Remedy))
			continue
		}
		a.warn(f.Text)
		a.Streams.Message("", ui.LevelHint, f.Remedy)
	}
	return err
}
