package main

import (
	"context"
	"fmt"
	"time"

	"github.com/bmad-forge/forgectl/pkg/config"
	"github.com/bmad-forge/forgectl/pkg/rediscache"
)

// Cache connects to the application's Redis. It is closed with the app, or when
// ctx ends.
func (a *App) Cache(ctx context.Context) (*rediscache.Cache, error) {
	return a.openCache(ctx, rediscache.DefaultTimeout)
}

// openCache is Cache with another bound for each answer.
func (a *App) openCache(ctx context.Context, timeout time.Duration) (*rediscache.Cache, error) {
	cfg, err := a.Config()
	if err != nil {
		return nil, err
	}
	r := cfg.Redis
	if r.URL == "" {
		return nil, withHint(unknown("no Redis is configured"), "forgectl config show redis.url")
	}
	o := rediscache.Options{URL: r.URL, CAFile: r.CAFile, CertFile: r.CertFile, KeyFile: r.KeyFile, Timeout: timeout}
	if o.Password, err = a.cachePassword(ctx); err != nil {
		return nil, fmt.Errorf("password of Redis: %w", err)
	}
	if r.SentinelPasswordFile != "" {
		password, err := config.ReadSecret(r.SentinelPasswordFile)
		if err != nil {
			return nil, fmt.Errorf("password of the sentinels: %w", err)
		}
		o.SentinelPassword = string(password)
	}
	a.secrets = append(a.secrets, o.Password, o.SentinelPassword)
	c, err := rediscache.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	a.onClose(c)
	return c, nil
}

// cachePassword is what beside the URL says the password; "" when nothing does.
// The variables of the environment give way to a password in the URL.
func (a *App) cachePassword(ctx context.Context) (string, error) {
	r := a.loaded.Redis
	password, err := a.secret(ctx, r.PasswordFile, r.PasswordCommand)
	if err != nil || password != nil || rediscache.HasPassword(r.URL) {
		return string(password), err
	}
	for _, name := range []string{"REDIS_PASSWORD", "REDISCLI_AUTH"} {
		if v := a.environ(name); v != "" {
			return v, nil
		}
	}
	return "", nil
}

// cachePrefix is what the application's keys begin with.
func (a *App) cachePrefix() rediscache.Prefix {
	return rediscache.Prefix{KeyPrefix: a.loaded.Redis.KeyPrefix, Version: a.loaded.Redis.Version}
}
