package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/prune"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

func newBackupPinCmd(app *App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "pin ID|latest --reason TEXT",
		Short: "Keep a set whatever backup.keep says",
		Long: `Notes beside a set that it is to be kept, and why: no prune removes it until it is
unpinned. "latest" is the newest set, good or not. A set that is pinned already stays
as it is, with its first reason. The backup itself is not changed. What a pinned full
set refers to stays with it.

` + setNaming + `

With -o json: {"set", "pinned", "reason", "changed"}.`,
		Example: `  forgectl backup pin latest --reason 'before the migration to 2.0'
  forgectl backup pin 20261123T020000Z --reason 'audit 2026'`,
		Annotations:       operationCodes(),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: app.completeSets,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return app.misuse("--reason TEXT is missing: who finds the set in a year must know what it is for")
			}
			return app.setPin(cmd.Context(), args[0], catalog.Check{What: catalog.CheckPin, Reason: reason})
		},
	}
	databaseFlag(app, cmd)
	reasonFlag(cmd, &reason, "why the set is to be kept, a `TEXT` for people")
	return cmd
}

func reasonFlag(cmd *cobra.Command, reason *string, usage string) {
	cmd.Flags().StringVar(reason, "reason", "", usage)
	complete(cmd, "reason", cobra.NoFileCompletions)
}

// pinnedSet is the JSON of forgectl backup pin and unpin.
type pinnedSet struct {
	Set     string `json:"set"`
	Pinned  bool   `json:"pinned"`
	Reason  string `json:"reason"`
	Changed bool   `json:"changed"`
}

// setPin adds a check to a set, unless that would change nothing. It shares the
// lock of readers, so that no prune removes the set at this moment.
func (a *App) setPin(ctx context.Context, name string, check catalog.Check) error {
	named, err := a.parseSet(name)
	if err != nil {
		return fmt.Errorf("%s: %w", check.What, err)
	}
	var repo *repository
	return a.operate(ctx, operation{
		Spec: job.Spec{Operation: "backup " + check.What, Target: name, Shared: true},
		Open: func(ctx context.Context) (string, error) {
			if repo, err = a.Repository(ctx); err != nil {
				return "", err
			}
			return repo.useLock(named.group)
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			s, err := repo.find(ctx, named)
			if err != nil {
				return result{}, fmt.Errorf("%s: %w", check.What, err)
			}
			shown := pinnedSet{Set: s.Ref.String(), Pinned: check.What == catalog.CheckPin, Reason: check.Reason}
			run.Fact("set", shown.Set)
			pin := prune.Pin(s)
			if shown.Changed = (pin != nil) != shown.Pinned; shown.Changed {
				if err := repo.AddCheck(ctx, s.Ref, check); err != nil {
					return result{}, fmt.Errorf("%s %s: %w", check.What, s.Ref, err)
				}
			} else if pin != nil {
				shown.Reason = pin.Reason
			}
			return a.pinResult(shown), nil
		},
	})
}

func (a *App) pinResult(shown pinnedSet) result {
	text := shown.Set + " is pinned"
	switch {
	case shown.Pinned && !shown.Changed:
		text += " already"
	case !shown.Pinned && !shown.Changed:
		text, shown.Reason = shown.Set+" was not pinned", ""
	case !shown.Pinned:
		text += " no longer"
	}
	if !shown.Changed {
		// Not only on a terminal: the reason that was given is not recorded.
		a.Streams.Message(program, "note", a.scrub(joinReason(text, shown.Reason)))
		return result{JSON: shown}
	}
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		_, err := fmt.Fprintln(s.Out, ui.Printable(joinReason(text, shown.Reason)))
		return err
	}}
}

func joinReason(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}
