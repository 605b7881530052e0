package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/job"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// errNotSuspect is a set that nobody needs to accept.
var errNotSuspect = errors.New("is not suspect: there is nothing to accept")

func newBackupAcceptCmd(app *App) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "accept ID|latest --reason TEXT",
		Short: "Believe a suspect set after all",
		Long: `Notes beside a suspect set that somebody has looked at it, and why it is right. From
then on it counts as good: it is "latest" if it is the newest, it fills places of
backup.keep, sets are removed again, and it is the measure for later ones: what it fell
from no longer counts. "latest" is the newest set, good or not. A set that is not suspect
is refused (UNKNOWN). The backup itself is not changed.

` + setNaming + `

Before you accept a set, see what fell (forgectl backup show) and whether that was
meant. If it was not, the older sets still hold the data: pin one, and restore it.

With -o json: {"set", "suspect", "reason", "good", "why", "frozen_by": []}, where
"suspect" is what was not believed, and "frozen_by" names what is suspect still.`,
		Example: `  forgectl backup accept 20261123T020000Z --reason 'old events were archived'
  forgectl backup accept latest --reason 'ticket 815: the audit table was emptied'`,
		Annotations:       operationCodes(),
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: app.completeSuspect,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return app.misuse("--reason TEXT is missing: who wonders in a year where the rows went must find it")
			}
			return app.acceptBackup(cmd.Context(), args[0], reason)
		},
	}
	databaseFlag(app, cmd)
	reasonFlag(cmd, &reason, "why the set is right, a `TEXT` for people")
	return cmd
}

// acceptHint is what to do about a suspect set.
func acceptHint(ref catalog.Ref) string {
	name := proc.ShellWord(ref.String())
	return "look at it: forgectl backup show " + name + "; if it is right: forgectl backup accept " + name + " --reason TEXT"
}

// completeSuspect offers the sets that can be accepted.
func (a *App) completeSuspect(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, s := range a.everySet(cmd.Context()) {
		if k := s.Suspicion(); k != nil {
			words = append(words, cobra.CompletionWithDesc(s.Ref.String(), joinReason(ui.Age(a.Now().Sub(s.Began(a.Now())))+" old", ui.Printable(k.Reason))))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// acceptedSet is the JSON of forgectl backup accept.
type acceptedSet struct {
	Set      string   `json:"set"`
	Suspect  string   `json:"suspect"`
	Reason   string   `json:"reason"`
	Good     bool     `json:"good"`
	Why      string   `json:"why,omitempty"`
	FrozenBy []string `json:"frozen_by"`
}

// acceptBackup shares the lock of readers, so that no prune removes the set at
// this moment.
func (a *App) acceptBackup(ctx context.Context, name, reason string) error {
	named, err := a.parseSet(name)
	if err != nil {
		return fmt.Errorf("accept: %w", err)
	}
	var repo *repository
	return a.operate(ctx, operation{
		Spec: job.Spec{Operation: "backup accept", Target: named.String(), Shared: true},
		Open: func(ctx context.Context) (string, error) {
			if repo, err = a.Repository(ctx); err != nil {
				return "", err
			}
			return repo.useLock(named.group)
		},
		Do: func(ctx context.Context, run *job.Run) (result, error) {
			s, err := repo.find(ctx, named)
			if err != nil {
				return result{}, fmt.Errorf("accept: %w", err)
			}
			suspicion := s.Suspicion()
			if suspicion == nil {
				return result{}, withHint(withCode(exitUnknown, fmt.Errorf("%s %w", s.Ref, errNotSuspect)), "forgectl backup list")
			}
			run.Fact("set", s.Ref.String())
			if err := repo.AddCheck(ctx, s.Ref, catalog.Check{What: catalog.CheckAccept, Reason: reason}); err != nil {
				return result{}, fmt.Errorf("accept %s: %w", s.Ref, err)
			}
			shown := acceptedSet{Set: s.Ref.String(), Suspect: suspicion.Reason, Reason: reason, FrozenBy: []string{}}
			sets, err := repo.List(ctx, named.group)
			if err != nil {
				return result{}, fmt.Errorf("%s is accepted; see what that means: %w", s.Ref, err)
			}
			for _, other := range sets {
				if other.Ref == s.Ref {
					shown.Good, shown.Why = other.Good()
				}
				if other.Suspect() {
					shown.FrozenBy = append(shown.FrozenBy, other.Ref.String())
				}
			}
			return acceptedResult(shown, named.group), nil
		},
	})
}

func acceptedResult(shown acceptedSet, g catalog.Group) result {
	return result{JSON: shown, Text: func(s *ui.Streams) error {
		meaning := "it counts as good from now on"
		if !shown.Good {
			meaning = "it is still not good: " + shown.Why
		}
		pruning := "pruning of " + g.String() + " goes on"
		if len(shown.FrozenBy) > 0 {
			pruning = "pruning of " + g.String() + " stays frozen by " + strings.Join(shown.FrozenBy, ", ")
		}
		_, err := fmt.Fprintf(s.Out, "%s\n%s\n", ui.Printable(shown.Set+" is accepted: "+shown.Reason), ui.Printable(meaning+", and "+pruning))
		return err
	}}
}
