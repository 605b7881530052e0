package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/proc"
	"github.com/bmad-forge/forgectl/pkg/seal"
)

// secret reads a password from a file or from what a command prints; nil when
// neither is configured.
func (a *App) secret(ctx context.Context, file, command string) ([]byte, error) {
	switch {
	case file != "":
		return config.ReadSecret(file)
	case command != "":
		out, err := proc.Output(ctx, a.Proc(), proc.Cmd{Path: "/bin/sh", Args: []string{"-c", command}, Name: "command"})
		if err != nil {
			return nil, err
		}
		out = bytes.TrimRight(out, "\r\n")
		if len(out) == 0 {
			return nil, errors.New("the command printed nothing")
		}
		return out, nil
	}
	return nil, nil
}

func compression(cfg *config.Loaded) seal.Level {
	return map[string]seal.Level{
		config.CompressionFastest: seal.Fastest, config.CompressionDefault: seal.Default, config.CompressionBetter: seal.Better,
	}[cfg.Backup.Compression]
}

// Sealing is how sets are written, with every recipient found and read.
func (a *App) Sealing(ctx context.Context) (seal.Options, error) {
	cfg, err := a.Config()
	if err != nil {
		return seal.Options{}, err
	}
	o := seal.Options{Jobs: cfg.Backup.Jobs, Level: compression(cfg)}
	add := func(keys ...*seal.Key) {
		for _, k := range keys {
			known := false
			for _, r := range o.Recipients {
				known = known || r.Fingerprint() == k.Fingerprint()
			}
			if !known {
				o.Recipients = append(o.Recipients, k)
			}
		}
	}
	for _, file := range cfg.Backup.Encrypt.RecipientFiles {
		keys, err := seal.ReadKeyFile(file)
		if err != nil {
			return o, withHint(withCode(exitUnknown, fmt.Errorf("read recipient %s: %w", file, plainPath(err))), "forgectl config show backup.encrypt.recipient_files")
		}
		add(keys...)
	}
	for _, name := range cfg.Backup.Encrypt.Recipients {
		key, err := a.gpg().Find(ctx, name, a.Now())
		if err != nil {
			return o, withCode(exitUnknown, fmt.Errorf("recipient: %w", err))
		}
		add(key)
	}
	return o, nil
}

func (a *App) gpg() seal.GPG {
	return seal.GPG{Runner: a.Proc(), Home: a.loaded.Backup.Encrypt.GNUPGHome}
}

// Unlocker opens sealed sets with the configured keys, then with gpg.
func (a *App) Unlocker() (seal.Unlocker, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	ring := &seal.Keyring{}
	for _, file := range cfg.Backup.Decrypt.SecretKeyFiles {
		keys, err := seal.ReadKeyFile(file)
		if err != nil {
			return nil, withHint(withCode(exitUnknown, fmt.Errorf("read secret key %s: %w", file, plainPath(err))), "forgectl config show backup.decrypt.secret_key_files")
		}
		ring.Keys = append(ring.Keys, keys...)
	}
	if d := cfg.Backup.Decrypt; d.PassphraseFile != "" || d.PassphraseCommand != "" {
		ring.Passphrase = func(ctx context.Context) ([]byte, error) { return a.secret(ctx, d.PassphraseFile, d.PassphraseCommand) }
	}
	chain := []seal.Unlocker{ring}
	if cfg.Backup.Decrypt.GPG == config.GPGAuto {
		chain = append(chain, a.gpg().Unlocker())
	}
	return seal.Chain(chain...), nil
}
