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

// part is how a set beside the database's comes back.
func (r *fullRestore) part(s catalog.Set) (restorePart, error) {
	switch s.Kind {
	case catalog.KindMedia:
		return &mediaPart{r: r, set: s}, nil
	case catalog.KindConfig:
		return &configPart{r: r, set: s}, nil
	}
	return nil, unknown("%s refers to %s, and this forgectl cannot restore sets of that kind", r.set.Ref, s.Ref)
}

// mediaPart exchanges the live files.
type mediaPart struct {
	r       *fullRestore
	set     catalog.Set
	options restore.MediaOptions
	done    restore.MediaResult
}

func (p *mediaPart) lock() (string, error) { return p.r.app.mediaLock() }

func (p *mediaPart) plan(ctx context.Context) (err error) {
	if p.options, _, err = p.r.app.mediaOptions(p.r.run); err != nil {
		return err
	}
	p.options.Catalog, p.options.Set = p.r.repo.Catalog, p.set
	if p.options.Provenance, err = p.r.app.Provenance(); err == nil {
		p.done.MediaPlan, err = restore.PlanMedia(ctx, p.options)
	}
	if err != nil {
		return fmt.Errorf("files of %s: %w", p.set.Ref, err)
	}
	return nil
}

func (p *mediaPart) showPlan(s *ui.Streams) error { return mediaPlanTable(s, p.done.MediaPlan) }

func (p *mediaPart) words() string { return "the directory " + p.done.Live }

func (p *mediaPart) run(ctx context.Context) (err error) {
	if p.done, err = restore.Media(ctx, p.options); err != nil {
		return fmt.Errorf("files of %s: %w", p.set.Ref, err)
	}
	return nil
}

func (p *mediaPart) undo() string {
	if p.done.Kept == "" {
		return ""
	}
	return "forgectl restore undo --media"
}

func (p *mediaPart) shown(dryRun bool) result { return restoredMedia(p.r.run, p.done, dryRun) }

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
