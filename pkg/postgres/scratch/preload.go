package scratch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/bmad-forge/forgectl/pkg/proc"
)

// checkPreload looks for every library before anything is started, so that all that are missing are named at once.
func checkPreload(ctx context.Context, o Options) error {
	if len(o.PreloadLibraries) == 0 {
		return nil
	}
	libdir, err := libraryDir(ctx, o)
	if err != nil {
		return err
	}
	var missing []string
	for _, name := range o.PreloadLibraries {
		if !libraryExists(libdir, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return missingLibraries(missing, nil)
	}
	return nil
}

func missingLibraries(names []string, cause error) error {
	return &UnavailableError{
		What: "preload library", Names: names, Err: cause,
		Hint: "install the extension's package for this PostgreSQL version (Debian: apt-cache search postgresql-<version>-), or leave the library out",
	}
}

// libraryDir is what $libdir means; "" when that cannot be found out, and then the server has to tell.
func libraryDir(ctx context.Context, o Options) (string, error) {
	out, err := proc.Output(ctx, o.Runner, proc.Cmd{Path: filepath.Join(o.BinDir, "pg_config"), Args: []string{"--pkglibdir"}})
	if err == nil {
		return strings.TrimSpace(string(out)), nil
	}
	if ctx.Err() != nil {
		return "", err
	}
	if !errors.Is(err, proc.ErrNotFound) {
		o.Logger.Debug("pg_config does not tell the library directory", "error", err)
	}
	for _, sub := range []string{"../lib/postgresql", "../lib"} {
		dir := filepath.Join(o.BinDir, sub)
		if _, err := os.Stat(filepath.Join(dir, "plpgsql.so")); err == nil {
			return dir, nil
		}
	}
	return "", nil
}

// libraryExists follows the server's rules for a name: $libdir is replaced, a name without a slash is looked for
// there, ".so" may be missing.
func libraryExists(libdir, name string) bool {
	if libdir == "" {
		return true
	}
	path := name
	if rest, ok := strings.CutPrefix(name, "$libdir"); ok {
		path = libdir + rest
	} else if !strings.Contains(name, "/") {
		path = filepath.Join(libdir, name)
	}
	for _, p := range []string{path, path + ".so"} {
		if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}
