package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
)

// TestCacheScripts runs every file of testdata/cache, each with a Redis of its own
// (at $PORT, behind a password), in which the application's prefix is "bmad".
func TestCacheScripts(t *testing.T) {
	testscript.Run(t, scripts("testdata/cache", func(env *testscript.Env) error {
		s := redistest.Start(t, "--requirepass", "hunter2")
		env.Defer(s.Kill)
		env.Setenv("REDISCLI_AUTH", "hunter2") // of redis-cli
		env.Setenv("PORT", strconv.Itoa(s.Port))
		password := filepath.Join(env.WorkDir, "redis-password")
		if err := os.WriteFile(password, []byte("hunter2\n"), 0o600); err != nil {
			return err
		}
		yaml := fmt.Sprintf("repository: %s/repository\nredis: {url: '%s', password_file: %s, key_prefix: bmad}\n", env.WorkDir, s.URL(), password)
		return os.WriteFile(filepath.Join(env.WorkDir, "forgectl.yaml"), []byte(yaml), 0o600)
	}))
}
