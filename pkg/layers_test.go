// Package pkg_test holds the rules for the tree as a whole: which package may
// import which, what a library may not do, and that each package says what it
// is for. The rules are in docs/architecture.md; a package that is new enters
// the table here and there.
package pkg_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/bmad-forge/forgectl"

// A package may import packages of its own layer and of those before it.
const (
	foundation = iota
	engine
	domain
	operation
	edge // what cmd puts around an operation: nothing below may know of it
)

// layers has every package below pkg/.
var layers = map[string]int{
	"atomicfile":    foundation,
	"guard":         foundation,
	"lock":          foundation,
	"moment":        foundation,
	"proc":          foundation,
	"proc/proctest": foundation,

	"rediscache/pickle": foundation,

	"seal":            foundation,
	"seal/sealtest":   foundation,
	"space":           foundation,
	"store":           foundation,
	"store/local":     foundation,
	"store/storetest": foundation,
	"suggest":         foundation,
	"udiff":           foundation,
	"window":          foundation,

	"archive":             engine,
	"artifact":            engine,
	"catalog":             engine,
	"postgres":            engine,
	"provenance":          engine,
	"recovery":            engine,
	"remember":            engine,
	"retention":           engine,
	"archive/archivetest": engine,
	"catalog/catalogtest": engine,

	"configset":            domain,
	"health":               domain,
	"media":                domain,
	"postgres/bloat":       domain,
	"postgres/cutover":     domain,
	"postgres/dumpfile":    domain,
	"postgres/dumpset":     domain,
	"postgres/filecolumns": domain,
	"postgres/insight":     domain,
	"postgres/maintain":    domain,
	"postgres/pgdump":      domain,
	"postgres/scratch":     domain,

	"postgres/networktest":         domain,
	"postgres/scratch/scratchtest": domain,
	"rediscache":                   domain,
	"rediscache/warm":              domain,
	"rediscache/redistest":         domain,
	"service":                      domain,
	"service/servicetest":          domain,

	"backup":    operation,
	"doctor":    operation,
	"inventory": operation,
	"prune":     operation,
	"restore":   operation,
	"verify":    operation,

	"config": edge,
	"job":    edge,
	"ui":     edge,
}

// allowed: the edge packages know neither one another nor what is above the
// foundation, so that each can be replaced by itself.
func allowed(from, to string) bool {
	if layers[from] == edge {
		return layers[to] == foundation
	}
	return layers[to] <= layers[from]
}

// goPackage is what `go list -json` says of a package, as far as it matters.
type goPackage struct {
	Dir        string
	ImportPath string
	Name       string
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
	Error      *struct{ Err string }
}

// name is the path below pkg/, or "" for a package that is elsewhere.
func (p goPackage) name() string {
	name, found := strings.CutPrefix(p.ImportPath, module+"/pkg/")
	if !found {
		return ""
	}
	return name
}

// forTests is for packages that tests of other packages import.
func forTests(name string) bool { return strings.HasSuffix(path.Base(name), "test") }

func list(t *testing.T) []goPackage {
	t.Helper()
	// Dependencies are not asked for: nothing here needs the network.
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=Dir,ImportPath,Name,GoFiles,CgoFiles,Imports,Error", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		if len(p.GoFiles)+len(p.CgoFiles) == 0 {
			continue // this one: nothing but tests
		}
		if p.Error != nil {
			t.Errorf("%s: %s", p.ImportPath, p.Error.Err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 5 {
		t.Fatalf("go list found %d packages only: the rules would hold for nothing", len(packages))
	}
	return packages
}

// Promise: imports go down the layers of the table, and every package has its
// place in it.
func TestLayers(t *testing.T) {
	for _, p := range list(t) {
		name := p.name()
		if name == "" {
			continue
		}
		if _, known := layers[name]; !known {
			t.Errorf("pkg/%s is in no layer: add it to the table here and in docs/architecture.md", name)
			continue
		}
		for _, path := range p.Imports {
			imported, ours := strings.CutPrefix(path, module+"/")
			if !ours {
				continue
			}
			imported, library := strings.CutPrefix(imported, "pkg/")
			switch {
			case !library:
				t.Errorf("pkg/%s imports %s: libraries import libraries only", name, path)
			case forTests(imported) && !forTests(name):
				t.Errorf("pkg/%s imports pkg/%s, which is for tests", name, imported)
			case !allowed(name, imported):
				t.Errorf("pkg/%s imports pkg/%s, which is not below it", name, imported)
			}
		}
	}
}

// Promise: a library can be used by another program than ours. It has no part
// in the command line, and runs programs through pkg/proc only.
func TestLibraryImports(t *testing.T) {
	forbidden := map[string]string{
		"flag":                   "the command line is cmd's",
		"log":                    "use log/slog, handed in",
		"github.com/spf13/cobra": "the command line is cmd's",
		"github.com/spf13/pflag": "the command line is cmd's",
		"testing":                "only packages for tests",
		"os/exec":                "pkg/proc runs programs",
		"net/http/pprof":         "it registers itself",
		"github.com/ProtonMail/go-crypto/openpgp":  "version 1 accepts trailing garbage: openpgp/v2",
		"github.com/jackc/pgx/v5/stdlib":           "pgx itself",
		"github.com/klauspost/compress/gzip":       "artifacts are zstd",
		"golang.org/x/crypto/openpgp":              "github.com/ProtonMail/go-crypto/openpgp/v2",
		"github.com/fatih/color":                   "only pkg/ui colours",
		"github.com/jedib0t/go-pretty/v6/table":    "only pkg/ui draws tables",
		"github.com/jedib0t/go-pretty/v6/progress": "only pkg/ui draws progress",
	}
	except := map[string][]string{
		"os/exec":                                  {"proc"},
		"github.com/fatih/color":                   {"ui"},
		"github.com/jedib0t/go-pretty/v6/table":    {"ui"},
		"github.com/jedib0t/go-pretty/v6/progress": {"ui"},
	}
	for _, p := range list(t) {
		name := p.name()
		if name == "" {
			continue
		}
		for _, path := range p.Imports {
			why, found := forbidden[path]
			if !found || slices.Contains(except[path], name) || path == "testing" && forTests(name) {
				continue
			}
			t.Errorf("pkg/%s imports %s: %s", name, path, why)
		}
	}
}

// Promise: a library neither prints nor exits nor reads the environment, and
// nothing happens by importing it.
func TestLibrariesAreQuiet(t *testing.T) {
	for _, p := range list(t) {
		name := p.name()
		if name == "" || forTests(name) {
			continue
		}
		for _, file := range p.GoFiles {
			for _, found := range inspect(t, filepath.Join(p.Dir, file)) {
				if name == "ui" && strings.HasPrefix(found.what, "os.Std") {
					continue // here the system's streams are found, for everybody
				}
				t.Errorf("pkg/%s/%s:%d: %s", name, file, found.line, found.what)
			}
		}
	}
}

type finding struct {
	line int
	what string
}

// noisy has what a library does not use, by import path.
var noisy = map[string][]string{
	"fmt":     {"Print", "Printf", "Println"},
	"os":      {"Exit", "Getenv", "LookupEnv", "Environ", "Setenv", "Unsetenv", "Clearenv", "ExpandEnv", "Stdin", "Stdout", "Stderr"},
	"syscall": {"Exit", "Getenv", "Environ", "Setenv"},
}

// inspect finds uses of the noisy names, init functions,
// the builtin print, and package variables that have no value at first: those
// are there to be changed.
func inspect(t *testing.T, file string) []finding {
	t.Helper()
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, file, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Errorf("%v", err)
		return nil
	}
	var findings []finding
	report := func(at token.Pos, format string, args ...any) {
		findings = append(findings, finding{set.Position(at).Line, fmt.Sprintf(format, args...)})
	}
	names := make(map[string]string) // how this file calls a package -> its path
	for _, spec := range tree.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		name := path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name == "." {
			report(spec.Pos(), "dot import of %s", path)
		}
		names[name] = path
	}
	for _, decl := range tree.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil && decl.Name.Name == "init" {
				report(decl.Pos(), "init function")
			}
		case *ast.GenDecl:
			if decl.Tok != token.VAR || embedded(decl) {
				continue
			}
			for _, spec := range decl.Specs {
				if v := spec.(*ast.ValueSpec); len(v.Values) == 0 {
					report(v.Pos(), "package state: var %s", v.Names[0].Name)
				}
			}
		}
	}
	ast.Inspect(tree, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && slices.Contains(noisy[names[x.Name]], n.Sel.Name) {
				report(n.Pos(), "%s.%s", names[x.Name], n.Sel.Name)
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") {
				report(n.Pos(), "builtin %s", f.Name)
			}
		}
		return true
	})
	return findings
}

// embedded is for variables that the compiler fills (go:embed is a directive,
// which Doc.Text leaves out).
func embedded(decl *ast.GenDecl) bool {
	return decl.Doc != nil && slices.ContainsFunc(decl.Doc.List, func(c *ast.Comment) bool {
		return strings.HasPrefix(c.Text, "//go:embed")
	})
}

// Promise: whoever opens a package is told in its own words what it is for.
func TestPackageComments(t *testing.T) {
	const substance = 200 // characters: one idea and a part of the contract
	for _, p := range list(t) {
		text := packageComment(t, p)
		start := "Package " + p.Name + " "
		if p.Name == "main" {
			start = "Command " + path.Base(p.ImportPath) + " "
		}
		switch where := strings.TrimPrefix(p.ImportPath, module+"/"); {
		case text == "":
			t.Errorf("%s has no package comment", where)
		case !strings.HasPrefix(text, start):
			t.Errorf("%s: the package comment does not begin with %q", where, start)
		case len(text) < substance:
			t.Errorf("%s: %d characters of package comment; say what it is for and what it promises (%d)", where, len(text), substance)
		}
	}
}

func packageComment(t *testing.T, p goPackage) string {
	t.Helper()
	var texts []string
	for _, file := range slices.Concat(p.GoFiles, p.CgoFiles) {
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if text := strings.TrimSpace(tree.Doc.Text()); text != "" {
			texts = append(texts, text)
		}
	}
	if len(texts) > 1 {
		t.Errorf("%s: package comments in %d files; one of them is the right place", p.ImportPath, len(texts))
	}
	return strings.Join(texts, "\n")
}

// Promise: the rules above see what they are there to see.
func TestInspectFindsEachKind(t *testing.T) {
	const source = `package bad

import (
	. "errors"
	f "fmt"
	"os"
)

var cache map[string]int

var ErrFine = New("a value that does not change")

func init() { f.Println(os.Getenv("HOME")) }

func Fine() string { println(1); return f.Sprint(ErrFine) }
`
	file := filepath.Join(t.TempDir(), "bad.go")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{"dot import of errors", "package state: var cache", "init function", "fmt.Println", "os.Getenv", "builtin println"}
	var got []string
	for _, f := range inspect(t, file) {
		got = append(got, f.what)
	}
	if !slices.Equal(got, want) {
		t.Errorf("found  %q\nwanted %q", got, want)
	}
	if allowed("store", "catalog") || allowed("backup", "config") || allowed("ui", "job") || !allowed("backup", "catalog") {
		t.Error("the layers are not what they should be")
	}
}
