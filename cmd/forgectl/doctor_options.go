package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/doctor"
	"github.com/bmad-forge/forgectl/pkg/health"
	"github.com/bmad-forge/forgectl/pkg/seal"
	"github.com/bmad-forge/forgectl/pkg/service"
)

// doctorOptions hands over what the configuration names; nothing of it is opened
// before a check asks for it.
func (a *App) doctorOptions(cron doctor.Cron) (doctor.Options, error) {
	cfg, err := a.Config()
	if err != nil {
		return doctor.Options{}, err
	}
	o := doctor.Options{
		Database: cfg.Database.Name, Backup: a.BackupEndpoint, Admin: a.AdminEndpoint,
		Repository: cfg.Repository, StateDir: cfg.StateDir, ScratchDir: cfg.ScratchDir, ConfigFile: cfg.File,
		Catalog: func(ctx context.Context) (*catalog.Catalog, error) {
			repo, err := a.Repository(ctx)
			if err != nil {
				return nil, err
			}
			return repo.Catalog, nil
		},
		Intents:       a.intents(),
		RTO:           cfg.Recovery.RTO,
		RPO:           cfg.Recovery.RPO,
		RequireSealed: cfg.Backup.Encrypt.Required,
		Recipients: func(ctx context.Context) ([]*seal.Key, error) {
			sealing, err := a.Sealing(ctx)
			return sealing.Recipients, err
		},
		Signer:         a.Signer,
		Provenance:     a.Provenance,
		SecretKeyFiles: cfg.Backup.Decrypt.SecretKeyFiles,
		Manager: func() (service.Manager, error) {
			s := cfg.Service
			return service.New(service.Options{Manager: s.Manager, Runner: a.Proc(), Start: s.Start, Stop: s.Stop, Restart: s.Restart})
		},
		Units: cfg.Service.Units,
		Health: func(ctx context.Context) (health.Report, error) {
			return health.Check(ctx, health.Options{URL: cfg.Health.URL, Timeout: cfg.Health.Timeout})
		},
		Finder: a.Finder(), Runner: a.Proc(), Cron: cron,
		Config: configFindings(cfg),
		User:   userName(), Now: a.Now,
	}
	if cfg.Backup.Decrypt.GPG == config.GPGAuto {
		o.GPGHolds = func(ctx context.Context, fingerprint string) (bool, error) {
			return a.gpg().Holds(ctx, a.gpgHome(), fingerprint)
		}
	}
	return o, nil
}

// gpgHome is where gpg keeps its keys.
func (a *App) gpgHome() string {
	if home := a.loaded.Backup.Encrypt.GNUPGHome; home != "" {
		return home
	}
	if home := a.environ("GNUPGHOME"); home != "" {
		return home
	}
	return filepath.Join(a.environ("HOME"), ".gnupg")
}

// configFindings are the problems of the configuration, without those that the
// checks of doctor look at more closely.
func configFindings(cfg *config.Loaded) []doctor.Finding {
	seen := []string{
		"repository", "state_dir", "scratch_dir",
		"backup.encrypt.recipients", "backup.encrypt.recipient_files", "backup.encrypt.required", "backup.decrypt.secret_key_files",
		"backup.encrypt.sign_key_file", "backup.encrypt.sign_passphrase_file", "verify.signer_files", "verify.require_signature",
	}
	// Of use for what is yet to come, or for the record only.
	harmless := []string{"app.root", "media.path", "config_files.paths"}
	var findings []doctor.Finding
	for _, p := range cfg.Check() {
		if slices.Contains(seen, p.Key) && !strings.Contains(p.Msg, " is inside ") {
			continue
		}
		f := doctor.Finding{Level: doctor.Warning, Message: p.Msg}
		if p.Key != "" {
			f.Message = p.Key + ": " + p.Msg
			f.Remedy = []string{"forgectl config show " + p.Key}
		}
		switch {
		case p.Failed:
			f.Level = doctor.Critical
		case slices.Contains(harmless, p.Key):
			f.Level = doctor.Info
		}
		if p.Hint != "" {
			f.Remedy = append([]string{p.Hint}, f.Remedy...)
		}
		findings = append(findings, f)
	}
	if len(findings) > 0 {
		return findings
	}
	return []doctor.Finding{{Level: doctor.OK, Message: "the configuration has no problems: " + checkedFile(cfg.File)}}
}
