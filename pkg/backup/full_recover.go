package backup

import (
	"text/template"

	"github.com/bmad-forge/forgectl/pkg/catalog"
	"github.com/bmad-forge/forgectl/pkg/postgres/dumpset"
)

// fullPage is RECOVER.md of a full set: which sets belong together,
// and in which order they come back. How each is opened stands beside it.
var fullPage = template.Must(template.New(dumpset.RecoverName).Parse(`# Recovering full set {{.ID}} without forgectl

This directory holds no data of its own. It says which sets are one recovery point; they lie in the same repository,
and each has a RECOVER.md that says how to open it with stock tools.

1. Are these the very sets that belong together? In this directory:

` + "```sh" + `
sha256sum --check --strict SHA256SUMS
(cd ../.. && sha256sum --check --strict <<'END'
{{range .Parts}}{{.Sum}}  {{.Dir}}/SHA256SUMS
{{end}}END
)
` + "```" + `

2. Bring them back, in this order. The application stays stopped until all are in place.

{{range .Parts}}   - {{.What}}: {{.Dir}}/RECOVER.md
{{end}}
The release of the application that was live then stands in manifest.json under "source"; deploy that one.
`))

// recoverPart is one line of it.
type recoverPart struct{ Sum, Dir, What string }

// recoveryOrder is that of a restore: the configuration first, the database last.
var recoveryOrder = []catalog.Kind{catalog.KindConfig, catalog.KindMedia, catalog.KindDatabase}

func (r *fullRun) recovery() (*template.Template, any) {
	what := map[catalog.Kind]string{catalog.KindConfig: "configuration files of the host", catalog.KindMedia: "uploaded files", catalog.KindDatabase: "the database"}
	var parts []recoverPart
	for _, kind := range recoveryOrder {
		for _, s := range r.made {
			if s.Kind == kind {
				parts = append(parts, recoverPart{s.SumsSHA256(), s.Dir(), what[kind]})
			}
		}
	}
	return fullPage, struct {
		ID    catalog.ID
		Parts []recoverPart
	}{r.draft.ID(), parts}
}
