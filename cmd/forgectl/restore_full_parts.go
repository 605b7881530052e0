package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/restore"
	"github.com/bmad-forge/forgectl/pkg/ui"
)

// configPart brings back the configuration files.
type configPart struct {
	r       *fullRestore
	set     catalog.Set
	options restore.ConfigOptions
	done    restore.ConfigResult
}

func (p *configPart) lock() (string, error) {
	host, _ := os.Hostname()
	return p.r.app.restoreLock("config-files/" + host)
}

func (p *configPart) plan(ctx context.Context) (err error) {
	named := restoreConfigOptions{name: setName{p.set.Group, p.set.ID}}
	if p.options, err = p.r.app.restoreConfigOptions(ctx, p.r.repo, p.r.run, named); err == nil {
		p.done.ConfigPlan, err = restore.PlanConfig(ctx, p.options)
	}
	if err != nil {
		return fmt.Errorf("configuration files of %s: %w", p.set.Ref, err)
	}
	for _, c := range p.done.Changes() {
		if c.State == restore.ConfigConflict { // found now, and not when the media are in service
			return fmt.Errorf("configuration files of %s: %w", p.set.Ref, &restore.ConfigConflictError{Changes: []restore.ConfigChange{c}})
		}
	}
	return nil
}

func (p *configPart) showPlan(s *ui.Streams) error { return configPlanText(s, p.done.ConfigPlan) }

func (p *configPart) words() string {
	return things(len(p.done.Changes()), "file") + " of the configuration"
}

func (p *configPart) run(ctx context.Context) (err error) {
	p.done, err = restore.Config(ctx, p.options)
	if err != nil {
		err = fmt.Errorf("configuration files of %s: %w", p.set.Ref, err)
	}
	if err != nil && p.undo() != "" {
		p.r.done = append(p.r.done, p) // some of them
	}
	return err
}

func (p *configPart) undo() string {
	if p.done.Kept == "" {
		return ""
	}
	return "sh " + shellWord(filepath.Join(p.done.Kept, restore.UndoName))
}

func (p *configPart) shown(dryRun bool) result {
	return p.r.app.restoredConfig(p.r.run, restoreConfigOptions{dryRun: dryRun}, p.done, nil)
}
