package postgres_test

import (
	"os"
	"testing"
	"time"

	"github.com/bmad-forge/forgectl/pkg/postgres/scratch/scratchtest"
)

func TestMain(m *testing.M) { os.Exit(scratchtest.Run(m)) }

// patience bounds every wait for something that must happen; a test that needs
// all of it has failed.
const patience = 30 * time.Second
