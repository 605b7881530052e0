package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bmad-forge/forgectl/pkg/rediscache/redistest"
)

// TestWarmScripts runs every file of testdata/warm, which is as testdata/database with a Redis of its own, in REDIS_URL.
func TestWarmScripts(t *testing.T) {
	database := withDatabase(t)
	testscript.Run(t, scripts("testdata/warm", func(env *testscript.Env) error {
		server := redistest.Start(env.T().(testing.TB))
		env.Setenv("REDIS_URL", server.URL())
		env.Setenv("REDIS_SOCKET", server.Socket)
		return database(env)
	}))
}
