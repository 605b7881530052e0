package scratchtest_test

import (
	"os"
	"testing"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

// Promise: the middling schema loads, with rows in it.
func TestMiddling(t *testing.T) {
	e := scratchtest.Database(t, scratchtest.Middling)
	if got := scratchtest.Query(t, e, "SELECT count(*) FROM forge_document"); got != "2000" {
		t.Errorf("%s rows", got)
	}
}
