package dumpfile_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/bmad-forge/forgectl/pkg/postgres/dumpfile"
)

// A file of unknown origin is recognised by its bytes and examined before anything else is done with it.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "bmad_forge.dump")
	sql := "CREATE TABLE t (i int);\nDROP DATABASE bmad_forge;\n\\! rm -rf /\n"
	if err := os.WriteFile(path, []byte(sql), 0o600); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	file, err := dumpfile.Open(ctx, path, dumpfile.Options{}) // Unlock: a seal.Keyring for encrypted files
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	report, err := file.Examine(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(file.Describe())
	for _, finding := range report.Findings {
		fmt.Println(finding)
	}
	fmt.Println("may be loaded:", report.Refusal(false) == nil)
	// Output:
	// plain SQL
	// line 2: DROP DATABASE bmad_forge
	// line 3: \! rm -rf /
	// may be loaded: false
}
