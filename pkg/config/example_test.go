package config_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/bmad-forge/forgectl/pkg/config"
)

func Example() {
	dir, err := os.MkdirTemp("", "config")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "forgectl.yaml")
	text := "repository: /srv/backups\nbackup:\n  keep: {within: 2w}\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		panic(err)
	}
	loaded, err := config.Load(config.Options{
		Path:    path,
		Environ: []string{"DATABASE_URL=postgres://backup:hunter2@db1/shop"},
		Flags:   map[string]string{"backup.jobs": "2"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(loaded.Repository, loaded.Database.Name, loaded.Backup.Keep.Within)
	for _, v := range loaded.Values() {
		switch v.Key {
		case "database.url", "backup.jobs", "backup.compression":
			fmt.Printf("%s = %s (%s)\n", v.Key, v.Value, v.Source)
		}
	}
	// Output:
	// /srv/backups shop 336h0m0s
	// database.url = postgres://backup:***@db1/shop (environment DATABASE_URL)
	// backup.jobs = 2 (flag --jobs)
	// backup.compression = fastest (default)
}
